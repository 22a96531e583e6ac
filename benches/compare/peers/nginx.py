"""nginx: `proxy_pass` with connections to the upstream kept; and with Lua, sessions in a shared dictionary.

Buffering is left on, as it is by default; requests on a connection are not limited. TLS 1.3 is on, as it is by default in newer
releases: the others speak it, too.
"""

import signal

from peers.base import Peer, Setup

CONFIGURATION = """
{modules}
user root;
worker_processes {workers};
worker_rlimit_nofile 100000;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 30000; }}
http {{
    access_log {log};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    {lua}
    upstream app {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl http2 backlog=4096;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        {access}
        location / {{ proxy_pass http://app; }}
        location /websocket {{
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://app;
        }}
        {routes}
    }}
}}
"""

MODULES = """
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
"""

DICTIONARY = """
    lua_shared_dict sessions {megabytes}m;
    init_by_lua_block {{
        local sessions = ngx.shared.sessions
        for line in io.lines("{table}") do
            local cookie, user = line:match("^(%S+) (%S+)$")
            assert(sessions:safe_set(cookie, user))
        end
        collectgarbage()
    }}
"""

LOOK_UP = """
        access_by_lua_block {
            local cookie = ngx.var.cookie_sid
            local user = cookie and ngx.shared.sessions:get(cookie)
            if not user then return ngx.exit(401) end
            ngx.req.set_header("X-Auth-User", user)
        }
"""


class Nginx(Peer):
    name = "nginx"
    reload_signal = signal.SIGHUP
    version_command = ["nginx", "-v"]

    def command(self, setup: Setup):
        lua = {"modules": "", "lua": "", "access": ""}
        if self.sessions:
            megabytes = 32 + self.bench.sessions * 400 // 1_000_000
            table = self.bench.table if setup.sessions else "/dev/null"
            lua = {"modules": MODULES, "lua": DICTIONARY.format(megabytes=megabytes, table=table), "access": LOOK_UP}
        text = CONFIGURATION.format(
            workers=self.workers,
            folder=self.folder,
            log=f"{self.folder}/access.log combined" if setup.log else "off",
            upstream=self.bench.upstream,
            port=self.port,
            tls_port=self.tls_port,
            cert=self.bench.cert,
            key=self.bench.key,
            routes="\n".join(f"location /r{number}/ {{ proxy_pass http://app; }}" for number in range(setup.routes)),
            **lua,
        )
        return ["nginx", "-c", self.write("nginx.conf", text), "-p", self.folder], {}


class NginxLua(Nginx):
    name = "nginx-lua"
    sessions = True
