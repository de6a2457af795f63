// The interop peers' JSON-lines protocol, shared by the three Go peers: announce the cells on stdout, then answer one request
// a line until EOF. It knows nothing of S3 or of encryption.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"strings"
)

const (
	inMetadata = "metadata"
	inFile     = "instruction_file"
)

// A request's body travels as base64, which is how encoding/json reads a []byte.
type request struct {
	Op       string            `json:"op"`
	Format   string            `json:"format"`
	Location string            `json:"location"`
	Bucket   string            `json:"bucket"`
	Key      string            `json:"key"`
	Body     []byte            `json:"body"`
	Context  map[string]string `json:"context"`
}

func (r request) cell() string { return r.Format + "@" + r.Location }

// Body is a pointer so that an empty object is sent as "" and the answer to a put has no body at all.
type response struct {
	OK    bool    `json:"ok"`
	Body  *[]byte `json:"body,omitempty"`
	Error string  `json:"error,omitempty"`
}

type announcement struct {
	Peer    string   `json:"peer"`
	Version string   `json:"version"`
	Writes  []string `json:"writes"`
	Reads   []string `json:"reads"`
}

type peer struct {
	name    string
	modules []string // the Go modules whose versions are announced
	writes  []string
	reads   []string
	put     func(request) error
	get     func(request) ([]byte, error)
}

// keys are the fields of the INTEROP_KEYS file that a KMS-only client needs.
type keys struct {
	KMSKeyID string `json:"kms_key_id"`
}

func loadKeys() keys {
	var k keys
	text, err := os.ReadFile(os.Getenv("INTEROP_KEYS"))
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		log.Fatalf("INTEROP_KEYS: %v", err)
	}
	return k
}

// cells lists every format at every location.
func cells(formats []string, locations ...string) []string {
	list := []string{}
	for _, format := range formats {
		for _, location := range locations {
			list = append(list, format+"@"+location)
		}
	}
	return list
}

func (p peer) serve() {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	send(out, announcement{p.name, moduleVersions(p.modules), p.writes, p.reads})
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			send(out, p.answer(line))
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Fatalf("stdin: %v", err)
		}
	}
}

func send(out *json.Encoder, message any) {
	if err := out.Encode(message); err != nil {
		log.Fatalf("stdout: %v", err)
	}
}

// answer turns every failure, a panic inside the client included, into an error response.
func (p peer) answer(line []byte) (answer response) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = response{Error: fmt.Sprintf("panic: %v", cause)}
		}
	}()
	body, err := p.perform(line)
	if err != nil {
		return response{Error: fmt.Sprintf("%T: %v", err, err)}
	}
	return response{OK: true, Body: body}
}

func (p peer) perform(line []byte) (*[]byte, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	switch {
	case r.Op == "put" && contains(p.writes, r.cell()):
		return nil, p.put(r)
	case r.Op == "get" && contains(p.reads, r.cell()):
		body, err := p.get(r)
		return &body, err
	}
	return nil, fmt.Errorf("%s cannot %s %s", p.name, r.Op, r.cell())
}

func contains(list []string, wanted string) bool {
	for _, item := range list {
		if item == wanted {
			return true
		}
	}
	return false
}

func moduleVersions(paths []string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	found := []string{}
	for _, module := range info.Deps {
		if contains(paths, module.Path) {
			found = append(found, module.Path+" "+module.Version)
		}
	}
	return strings.Join(found, ", ")
}
