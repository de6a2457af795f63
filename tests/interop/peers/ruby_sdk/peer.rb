#!/usr/bin/env ruby
# frozen_string_literal: true

# Interop peer: the AWS SDK for Ruby. Aws::S3::Encryption::Client (V1) writes the formats v1-* and the wrap `kms`;
# Aws::S3::EncryptionV2::Client (V2) writes the rest and reads everything.

require 'aws-sdk-kms'
require 'aws-sdk-s3'
require 'base64'
require 'json'
require 'openssl'

LOCATIONS = %w[metadata instruction_file].freeze

# key: which master key; writer: the client that writes the format, if any; profile: what the V2 client needs to read it.
Format = Struct.new(:key, :writer, :profile, keyword_init: true)

FORMATS = {
  'v1-aes' => Format.new(key: :aes, writer: :v1, profile: :v2_and_legacy),
  'v1-rsa' => Format.new(key: :rsa, writer: :v1, profile: :v2_and_legacy),
  'v2-kms-cbc' => Format.new(key: :kms, writer: :v1, profile: :v2_and_legacy),
  'v2-kms-gcm' => Format.new(key: :kms, writer: nil, profile: :v2_and_legacy),
  'v2-kms_context' => Format.new(key: :kms, writer: :v2, profile: :v2),
  'v2-aes_gcm' => Format.new(key: :aes, writer: :v2, profile: :v2),
  'v2-rsa_oaep_sha1' => Format.new(key: :rsa, writer: :v2, profile: :v2)
}.freeze

KEY_WRAPS = { kms: :kms_context, aes: :aes_gcm, rsa: :rsa_oaep_sha1 }.freeze

# Builds the encryption clients and keeps them: one for each writer or profile, format and location.
class Clients
  def initialize(endpoint, keys)
    @s3 = Aws::S3::Client.new(endpoint: endpoint, force_path_style: true)
    @master_keys = {
      kms: { kms_key_id: keys.fetch('kms_key_id'), kms_client: Aws::KMS::Client.new(endpoint: endpoint) },
      aes: { encryption_key: [keys.fetch('aes256')].pack('H*') },
      rsa: { encryption_key: OpenSSL::PKey::RSA.new(Base64.strict_decode64(keys.fetch('rsa2048_pkcs8_der'))) }
    }
    @built = {}
  end

  def writer(format, location)
    format.writer == :v1 ? v1(format, location) : v2(format, location)
  end

  def reader(format, location)
    v2(format, location)
  end

  private

  def v1(format, location)
    @built[[:v1, format, location]] ||= Aws::S3::Encryption::Client.new(common(format, location))
  end

  def v2(format, location)
    @built[[:v2, format, location]] ||= Aws::S3::EncryptionV2::Client.new(
      key_wrap_schema: KEY_WRAPS.fetch(format.key),
      content_encryption_schema: :aes_gcm_no_padding,
      security_profile: format.profile,
      **common(format, location)
    )
  end

  def common(format, location)
    { client: @s3, envelope_location: location.to_sym, **@master_keys.fetch(format.key) }
  end
end

# Answers the requests of the interop protocol.
class Peer
  WRITES = FORMATS.select { |_, format| format.writer }.keys.product(LOCATIONS).map { |cell| cell.join('@') }
  READS = FORMATS.keys.product(LOCATIONS).map { |cell| cell.join('@') }

  def initialize(clients)
    @clients = clients
  end

  def announcement
    version = "aws-sdk-s3 #{Aws::S3::GEM_VERSION}, aws-sdk-kms #{Aws::KMS::GEM_VERSION}, ruby #{RUBY_VERSION}"
    { peer: 'ruby_sdk', version: version, writes: WRITES, reads: READS }
  end

  def answer(line)
    request = JSON.parse(line)
    { ok: true, **perform(request) }
  rescue StandardError => e
    { ok: false, error: "#{e.class}: #{e.message}" }
  end

  private

  def perform(request)
    cell = request.values_at('format', 'location').join('@')
    case request['op']
    when 'put' then return put(request) if WRITES.include?(cell)
    when 'get' then return get(request) if READS.include?(cell)
    end
    raise ArgumentError, "ruby_sdk cannot #{request['op']} #{cell}"
  end

  def put(request)
    format = FORMATS.fetch(request['format'])
    options = format.writer == :v2 ? context(format, request) : {}
    @clients.writer(format, request['location']).put_object(
      **target(request), body: Base64.strict_decode64(request['body']), **options
    )
    {}
  end

  def get(request)
    format = FORMATS.fetch(request['format'])
    options = context(format, request)
    # Older KMS libraries, 1.24.0 among them, cannot name a key in Decrypt, which the V2 client does unless it is told not to.
    options[:kms_allow_decrypt_with_any_cmk] = true if format.key == :kms
    object = @clients.reader(format, request['location']).get_object(**target(request), **options)
    { body: Base64.strict_encode64(object.body.read) }
  end

  def target(request)
    { bucket: request['bucket'], key: request['key'] }
  end

  # Only the V2 client has the option, and only with a KMS key; for the wrap `kms` it ignores it.
  def context(format, request)
    format.key == :kms ? { kms_encryption_context: request['context'] || {} } : {}
  end
end

keys = JSON.parse(File.read(ENV.fetch('INTEROP_KEYS')))
peer = Peer.new(Clients.new(ENV.fetch('INTEROP_ENDPOINT'), keys))

$stdout.sync = true
puts JSON.generate(peer.announcement)
$stdin.each_line { |line| puts JSON.generate(peer.answer(line)) }
