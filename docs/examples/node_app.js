// An application for Node that keeps nothing and remembers everything: Cloakroom does it.
// node node_app.js 3000
"use strict";
const http = require("node:http");

const KEY = "[a-z*][a-z0-9_.*-]*";
const VALUE = '"(?:[^"\\\\]|\\\\["\\\\])*"|%"[^"]*"|\\?[01]|-?\\d+(?:\\.\\d+)?';
const MEMBER = new RegExp(`[ \\t]*(${KEY})(?:=(${VALUE}))?(?:; *${KEY}(?:=(?:${VALUE}))?)*[ \\t]*(?:,|$)`, "y");

// A dictionary of RFC 9651 as a Map; an empty one if it cannot be read.
function parse(field) {
  const members = new Map();
  MEMBER.lastIndex = 0;
  while (MEMBER.lastIndex < field.length) {
    const member = MEMBER.exec(field);
    if (!member) return new Map();
    members.set(member[1], member[2] === undefined ? true : value(member[2]));
  }
  return members;
}

function value(item) {
  if (item[0] === "%") return decodeURIComponent(item.slice(2, -1));
  if (item[0] === '"') return item.slice(1, -1).replace(/\\(.)/g, "$1");
  if (item[0] === "?") return item === "?1";
  return Number(item);
}

// A string, or a display string if it goes beyond ASCII.
function text(words) {
  if (/^[ -~]*$/.test(words)) return `"${words.replace(/["\\]/g, "\\$&")}"`;
  const encode = (byte) => (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x25
    ? `%${byte.toString(16).padStart(2, "0")}`
    : String.fromCharCode(byte));
  return `%"${Array.from(Buffer.from(words), encode).join("")}"`;
}

const escape = (words) => words.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const page = (theme, message, user, visits) => `<!doctype html>
<html lang="en" data-theme="${theme}"><head><meta charset="utf-8"><title>Node</title>
<style>:root { color-scheme: light } [data-theme=dark] { color-scheme: dark }</style></head>
<body><main>${message}<h1>Hello, ${user}</h1><p>Visits: ${visits}</p>
<form method="post" action="theme"><button name="theme" value="dark">Dark</button>
<button name="theme" value="light">Light</button></form>
<form method="post" action="message"><label>Message <input name="text"></label><button>Send</button></form>
<form method="post" action="sign-out"><button>Sign out</button></form></main></body></html>
`;

function show(request, response) {
  const data = parse(request.headers["session-data"] ?? "");
  const user = request.headers["x-auth-name"] ?? request.headers["x-auth-user"] ?? "stranger";
  const theme = data.get("shared.theme") === "dark" ? "dark" : "light";
  const message = data.has("message") ? `<p role="status">${escape(data.get("message"))}</p>` : "";
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Session-Add": "visits=1",
  });
  response.end(page(theme, message, escape(decodeURIComponent(user)), (data.get("visits") ?? 0) + 1));
}

async function change(request, response) {
  let body = "";
  for await (const piece of request.setEncoding("utf8")) body += piece;
  const form = new URLSearchParams(body);
  const headers = { Location: "./" };
  switch (new URL(request.url, "http://localhost").pathname.split("/").pop()) {
    case "theme":
      if (["dark", "light"].includes(form.get("theme"))) {
        headers["Session-Set"] = `shared.theme=${text(form.get("theme"))};max-age=2592000`;
      }
      break;
    case "message":
      headers["Session-Set"] = `message=${text(form.get("text") ?? "")};flash`;
      break;
    case "sign-out":
      headers["Session-Logout"] = "this";
  }
  response.writeHead(303, headers).end();
}

// The loopback only: whoever reaches this port can claim to be anybody.
http
  .createServer((request, response) => {
    if (request.method !== "POST") return show(request, response);
    change(request, response).catch(() => response.destroy());
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
