# docker build --build-arg VERSION=$(git describe --tags --always) -t cwmpgate .
# docker run -v ./cwmpgate.yaml:/etc/cwmpgate/cwmpgate.yaml:ro -v cwmpgate:/var/lib/cwmpgate -p 7547:7547 --read-only cwmpgate
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/cwmpgate ./cmd/cwmpgate
RUN mkdir -p /out/etc /out/state && echo 'cwmpgate:x:65532:65532:cwmpgate:/var/lib/cwmpgate:/sbin/nologin' >/out/etc/passwd

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/etc/passwd /etc/passwd
COPY --from=build --chown=65532:65532 /out/state /var/lib/cwmpgate
COPY --from=build /out/cwmpgate /usr/local/bin/cwmpgate
COPY LICENSE NOTICE /usr/share/doc/cwmpgate/
USER 65532:65532
# Journal, store and keys; nothing else is written.
VOLUME /var/lib/cwmpgate
EXPOSE 7547
ENTRYPOINT ["/usr/local/bin/cwmpgate"]
CMD ["run", "--config", "/etc/cwmpgate/cwmpgate.yaml"]
