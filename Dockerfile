# syntax=docker/dockerfile:1
# The whole program as one static binary, and beside it nothing but the authorities that TLS trusts: no shell, no packages, nobody to
# update. Time zones are in the binary. Build it by
#   docker build --build-arg VERSION=$(git describe --tags --always) --build-arg COMMIT=$(git rev-parse HEAD)
#     --build-arg DATE=$(date -u +%Y-%m-%dT%H:%M:%SZ) --tag fernweh .

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION COMMIT DATE
# The build machine compiles for the target's, so that no emulator is needed.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT -X main.date=$DATE" -o /out/fernweh ./cmd/fernweh \
    && mkdir -p /out/data/archive

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/fernweh /fernweh
# Owned by the user below: a named volume that is mounted on one of them for the first time takes that over.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV FERNWEH_DATA_DIR=/data
VOLUME /data
EXPOSE 8080 8081 9464
# Of serve and up; a layer with another door is asked there by who runs it (infra/compose.yaml, infra/helm).
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["/fernweh", "health"]
ENTRYPOINT ["/fernweh"]
