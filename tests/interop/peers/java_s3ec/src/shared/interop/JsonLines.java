package interop;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The peer protocol: a hello line, then one JSON response on stdout for every JSON request on stdin.
 * A failed request is answered with its error and does not end the program.
 */
final class JsonLines {
    record Hello(String peer, String version, List<String> writes, List<String> reads) {
    }

    /** Jackson decodes the base64 of {@code body}. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Request(String op, String format, String location, String bucket, String key, byte[] body,
            Map<String, String> context) {
        Request {
            context = context == null ? Map.of() : context;
        }
    }

    @FunctionalInterface
    interface Operation {
        /** Returns the members of the response beside {@code ok}. */
        Map<String, ?> run(Request request) throws Exception;
    }

    private static final ObjectMapper JSON = new ObjectMapper();

    private JsonLines() {
    }

    static void serve(Hello hello, Map<String, Operation> operations) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // whatever a library prints must stay out of the protocol
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

        out.println(JSON.writeValueAsString(hello));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(line, operations)));
        }
    }

    private static Map<String, ?> answer(String line, Map<String, Operation> operations) {
        try {
            Request request = JSON.readValue(line, Request.class);
            Operation operation = operations.get(request.op());
            if (operation == null) {
                throw new UnsupportedOperationException("op " + request.op());
            }
            Map<String, Object> response = new LinkedHashMap<>(Map.of("ok", true));
            response.putAll(operation.run(request));
            return response;
        } catch (Exception | LinkageError e) {
            return Map.of("ok", false, "error", describe(e));
        }
    }

    /** "Class: message", followed by the same for every cause. */
    private static String describe(Throwable error) {
        return Stream.iterate(error, e -> e != null, Throwable::getCause)
                .map(e -> e.getClass().getSimpleName() + ": " + e.getMessage())
                .collect(Collectors.joining(" <- "));
    }
}
