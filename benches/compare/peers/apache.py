"""Apache with the event model: `mod_proxy`; and with the sessions of mod_auth_openidc in shared memory.

A provider made for tests signs each visitor in once, before anything is measured. A login takes it a tenth of a second, so
there are as many sessions as connections, and this peer takes part where each connection has its own.
"""

import http.cookiejar
import re
import signal
import urllib.parse
import urllib.request

from peers.base import Peer, Setup
from process import Failed, Process, free_port

LOGINS = 64

CONFIGURATION = """
ServerRoot /usr/lib/apache2
ServerName localhost
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
LogLevel error
User www-data
Group www-data
{modules}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
StartServers {workers}
ServerLimit {workers}
ThreadLimit 512
ThreadsPerChild 512
MaxRequestWorkers {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
MaxRequestsPerChild 0
AsyncRequestWorkerFactor 8
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
Protocols h2 http/1.1
ProxyPass /openid/ !
ProxyPass /websocket http://127.0.0.1:{upstream}/websocket enablereuse=on upgrade=websocket
ProxyPass / http://127.0.0.1:{upstream}/ enablereuse=on keepalive=on
<VirtualHost 127.0.0.1:{tls_port}>
    SSLEngine on
    SSLCertificateFile {cert}
    SSLCertificateKeyFile {key}
</VirtualHost>
{sessions}
"""

SESSIONS = """
OIDCProviderMetadataURL {provider}/.well-known/openid-configuration
OIDCClientID compare
OIDCClientSecret compare
OIDCRedirectURI http://localhost:{port}/openid/back
OIDCCryptoPassphrase compare
OIDCCacheType shm
OIDCCacheShmMax 1000
OIDCSessionType server-cache
OIDCSessionInactivityTimeout 36000
OIDCSessionMaxDuration 36000
OIDCRemoteUserClaim sub
OIDCAuthNHeader X-Auth-User
OIDCPassClaimsAs none
OIDCUnAuthAction 401
<Location "/">
    AuthType openid-connect
    Require valid-user
</Location>
<Location "/openid/start">
    OIDCUnAuthAction auth
</Location>
"""

MODULES = "mpm_event authn_core authz_core authz_user proxy proxy_http ssl http2 socache_shmcb".split()


class Apache(Peer):
    name = "apache"
    reload_signal = signal.SIGUSR1
    version_command = ["apache2", "-v"]

    def command(self, setup: Setup):
        modules = MODULES + (["auth_openidc"] if self.sessions else [])
        text = CONFIGURATION.format(
            folder=self.folder,
            modules="\n".join(f"LoadModule {name}_module modules/mod_{name}.so" for name in modules),
            port=self.port,
            tls_port=self.tls_port,
            workers=self.workers,
            threads=512 * self.workers,
            upstream=self.bench.upstream,
            cert=self.bench.cert,
            key=self.bench.key,
            sessions=self.session_settings(),
        )
        return ["apache2", "-D", "FOREGROUND", "-f", self.write("apache.conf", text)], {}

    def session_settings(self) -> str:
        return ""


class ApacheOidc(Apache):
    name = "apache-oidc"
    sessions = True
    # The module keeps the sessions of each virtual host apart.
    tls = False

    def __init__(self, bench, workers, cores):
        super().__init__(bench, workers, cores)
        self.cookies, self.users, self.live = self.folder / "cookies.txt", self.folder / "users.txt", LOGINS
        self.provider_port = free_port()
        self.provider: Process | None = None

    def session_settings(self) -> str:
        return SESSIONS.format(provider=f"http://127.0.0.1:{self.provider_port}", port=self.port)

    def start(self, setup: Setup):
        program = self.bench.installed / "venv/bin/oidc-provider-mock"
        self.provider = Process([program, "--port", self.provider_port], self.folder, "provider")
        self.provider.listening(self.provider_port)
        super().start(setup)

    def started(self, setup: Setup):
        if setup.sessions:
            names = [f"user{number:06}" for number in range(LOGINS)]
            self.cookies.write_text("".join(f"{self.log_in(name)}\n" for name in names))
            self.users.write_text("".join(f"{name}\n" for name in names))
        self.provider.stop()

    def log_in(self, name: str) -> str:
        """The cookie of a new session, had as a browser would; it holds for the name by which all ask."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        # Others are not sent to the provider.
        browser.addheaders = [("Accept", "text/html")]
        # The page asks for a name; sending it to the same address leads back through the redirect URI.
        with browser.open(f"http://localhost:{self.port}/openid/start", timeout=10) as page:
            address = page.url
        try:
            browser.open(address, data=urllib.parse.urlencode({"sub": name}).encode(), timeout=10).close()
        except urllib.error.HTTPError as error:
            # The page it leads to in the end does not exist; the session does.
            error.close()
        for cookie in jar:
            if re.fullmatch("mod_auth_openidc_session", cookie.name):
                return f"{cookie.name}={cookie.value}"
        raise Failed(f"apache-oidc: nobody got a session; {self.process.tail()}")

    def stop(self):
        super().stop()
        if self.provider:
            self.provider.stop()
