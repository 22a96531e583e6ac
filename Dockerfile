# Two stages: build the program, then keep nothing but the program and the system's certificate authorities.
FROM rust:1-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin cloakroom

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/cloakroom --shell /usr/sbin/nologin cloakroom \
 && chmod 700 /var/lib/cloakroom
COPY --from=build /build/target/release/cloakroom /usr/local/bin/cloakroom

# A number and not a name, so that an orchestrator can see that it is not root.
USER 10001
WORKDIR /var/lib/cloakroom
# What must survive a restart: the keys that sign session ids (`state_dir`).
VOLUME /var/lib/cloakroom
EXPOSE 8080

HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["cloakroom", "healthcheck"]
ENTRYPOINT ["cloakroom"]
CMD ["serve", "-c", "/etc/cloakroom/cloakroom.yaml"]
