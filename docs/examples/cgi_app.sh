#!/bin/sh
# A CGI program that keeps nothing and remembers everything: Cloakroom does it.
set -eu
LC_ALL=C
export LC_ALL

# A function for awk: text without its percent-encoding.
decode='function decode(text,  plain, digits, hex) {
  hex = "123456789abcdef"
  while (match(text, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
    digits = tolower(substr(text, RSTART + 1, 2))
    plain = plain substr(text, 1, RSTART - 1) \
      sprintf("%c", 16 * index(hex, substr(digits, 1, 1)) + index(hex, substr(digits, 2, 1)))
    text = substr(text, RSTART + 3)
  }
  return plain text
}'

# member KEY: what Session-Data (a dictionary of RFC 9651) holds under a key; nothing if it holds nothing there.
member() {
  printf '%s\n' "${HTTP_SESSION_DATA:-}" | awk -v key="$1" "$decode"'
    function unescape(text,  plain) {
      while (match(text, /\\./)) {
        plain = plain substr(text, 1, RSTART - 1) substr(text, RSTART + 1, 1)
        text = substr(text, RSTART + 2)
      }
      return plain text
    }
    {
      while (match($0, /^[ \t]*[a-z*][a-z0-9_.*-]*/)) {
        name = substr($0, 1, RLENGTH)
        gsub(/[ \t]/, "", name)
        $0 = substr($0, RLENGTH + 1)
        item = "?1"
        if (match($0, /^=("([^"\\]|\\.)*"|%"[^"]*"|[^",; \t]+)/)) {
          item = substr($0, 2, RLENGTH - 1)
          $0 = substr($0, RLENGTH + 1)
        }
        if (name == key) found = item
        sub(/^(; *[a-z*][a-z0-9_.*-]*(=("([^"\\]|\\.)*"|%"[^"]*"|[^",; \t]+))?)*[ \t]*,?/, "")
      }
      if ($0 != "") exit
      if (found ~ /^"/) found = unescape(substr(found, 2, length(found) - 2))
      if (found ~ /^%"/) found = decode(substr(found, 3, length(found) - 3))
      print found
    }'
}

# field NAME: what was filled in there.
field() {
  printf '%s\n' "$body" | awk -v name="$1" "$decode"'
    BEGIN { RS = "&" }
    {
      gsub(/[+]/, " ")
      sub(/\n$/, "")
      at = index($0, "=")
      if (at && decode(substr($0, 1, at - 1)) == name) { print decode(substr($0, at + 1)); exit }
    }'
}

# text WORDS: a string, or a display string if it goes beyond ASCII.
text() {
  if [ -z "$(printf '%s' "$1" | tr -d ' -~')" ]; then
    printf '"%s"' "$(printf '%s' "$1" | sed 's/["\\]/\\&/g')"
  else
    printf '%%"%s"' "$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g')"
  fi
}

# escape: standard input as HTML.
escape() {
  sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g'
}

if [ "$REQUEST_METHOD" = POST ]; then
  body=$(dd bs=1 count="${CONTENT_LENGTH:-0}" 2>/dev/null)
  printf 'Status: 303 See Other\nLocation: ./\n'
  case "${PATH_INFO:-}" in
    */theme)
      case "$(field theme)" in
        dark) printf 'Session-Set: shared.theme="dark";max-age=2592000\n' ;;
        light) printf 'Session-Set: shared.theme="light";max-age=2592000\n' ;;
      esac ;;
    */message) printf 'Session-Set: message=%s;flash\n' "$(text "$(field text)")" ;;
    */sign-out) printf 'Session-Logout: this\n' ;;
  esac
  printf '\n'
  exit
fi

user=${HTTP_X_AUTH_NAME:-${HTTP_X_AUTH_USER:-stranger}}
user=$(printf '%s\n' "$user" | awk "$decode"'{ print decode($0) }' | escape)
message=$(member message | escape)
[ -z "$message" ] || message="<p role=\"status\">$message</p>"
visits=$(member visits)
theme=$(member shared.theme)
[ "$theme" = dark ] || theme=light
cat <<PAGE
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Session-Add: visits=1

<!doctype html>
<html lang="en" data-theme="$theme"><head><meta charset="utf-8"><title>CGI</title>
<style>:root { color-scheme: light } [data-theme=dark] { color-scheme: dark }</style></head>
<body><main>$message<h1>Hello, $user</h1><p>Visits: $((${visits:-0} + 1))</p>
<form method="post" action="theme"><button name="theme" value="dark">Dark</button>
<button name="theme" value="light">Light</button></form>
<form method="post" action="message"><label>Message <input name="text"></label><button>Send</button></form>
<form method="post" action="sign-out"><button>Sign out</button></form></main></body></html>
PAGE
