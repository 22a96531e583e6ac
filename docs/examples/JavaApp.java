import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** A servlet that keeps nothing and remembers everything: Cloakroom does it. To be mapped to "/*". */
public class JavaApp extends HttpServlet {
    private static final String KEY = "[a-z*][a-z0-9_.*-]*";
    private static final String VALUE = "\"(?:[^\"\\\\]|\\\\[\"\\\\])*+\"|%\"[^\"]*\"|\\?[01]|-?\\d+(?:\\.\\d+)?";
    private static final Pattern MEMBER = Pattern.compile(
        "[ \\t]*(" + KEY + ")(?:=(" + VALUE + "))?(?:; *" + KEY + "(?:=(?:" + VALUE + "))?)*[ \\t]*(?:,|$)");

    /** A dictionary of RFC 9651; an empty one if it cannot be read. */
    static Map<String, Object> parse(String field) {
        var members = new HashMap<String, Object>();
        var member = MEMBER.matcher(field == null ? "" : field);
        for (int at = 0; at < member.regionEnd(); at = member.end()) {
            if (!member.region(at, member.regionEnd()).lookingAt()) return Map.of();
            members.put(member.group(1), member.group(2) == null ? Boolean.TRUE : value(member.group(2)));
        }
        return members;
    }

    private static Object value(String item) {
        return switch (item.charAt(0)) {
            case '%' -> decoded(item.substring(2, item.length() - 1));
            case '"' -> item.substring(1, item.length() - 1).replaceAll("\\\\(.)", "$1");
            case '?' -> item.equals("?1");
            default -> item.contains(".") ? (Object) Double.valueOf(item) : (Object) Long.valueOf(item);
        };
    }

    /** A string, or a display string if it goes beyond ASCII. */
    static String text(String words) {
        if (words.matches("[ -~]*")) return '"' + words.replaceAll("[\"\\\\]", "\\\\$0") + '"';
        var encoded = new StringBuilder("%\"");
        for (byte each : words.getBytes(StandardCharsets.UTF_8)) {
            boolean plain = each >= ' ' && each <= '~' && each != '"' && each != '%';
            encoded.append(plain ? String.valueOf((char) each) : String.format("%%%02x", each & 0xff));
        }
        return encoded.append('"').toString();
    }

    private static String decoded(String words) {
        return URLDecoder.decode(words.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    private static String escape(String words) {
        return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        var data = parse(request.getHeader("Session-Data"));
        String user = request.getHeader("X-Auth-Name");
        if (user == null) user = request.getHeader("X-Auth-User");
        if (user == null) user = "stranger";
        String theme = "dark".equals(data.get("shared.theme")) ? "dark" : "light";
        String message = data.get("message") instanceof String said ? "<p role=\"status\">" + escape(said) + "</p>" : "";
        long visits = data.get("visits") instanceof Long before ? before + 1 : 1;
        response.setContentType("text/html; charset=utf-8");
        response.setHeader("Cache-Control", "no-store");
        response.setHeader("Session-Add", "visits=1");
        response.getWriter().print("""
            <!doctype html>
            <html lang="en" data-theme="%s"><head><meta charset="utf-8"><title>Java</title>
            <style>:root { color-scheme: light } [data-theme=dark] { color-scheme: dark }</style></head>
            <body><main>%s<h1>Hello, %s</h1><p>Visits: %d</p>
            <form method="post" action="theme"><button name="theme" value="dark">Dark</button>
            <button name="theme" value="light">Light</button></form>
            <form method="post" action="message"><label>Message <input name="text"></label><button>Send</button></form>
            <form method="post" action="sign-out"><button>Sign out</button></form></main></body></html>
            """.formatted(theme, message, escape(decoded(user)), visits));
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        request.setCharacterEncoding("UTF-8");
        String path = request.getRequestURI();
        String theme = request.getParameter("theme"), words = request.getParameter("text");
        if (path.endsWith("/theme") && ("dark".equals(theme) || "light".equals(theme))) {
            response.setHeader("Session-Set", "shared.theme=" + text(theme) + ";max-age=2592000");
        } else if (path.endsWith("/message")) {
            response.setHeader("Session-Set", "message=" + text(words == null ? "" : words) + ";flash");
        } else if (path.endsWith("/sign-out")) {
            response.setHeader("Session-Logout", "this");
        }
        response.setStatus(HttpServletResponse.SC_SEE_OTHER);
        response.setHeader("Location", "./");
    }
}
