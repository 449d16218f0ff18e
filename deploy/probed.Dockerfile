# Images that hold one program and nothing to ask it with: each gets a static wget for its health check.
FROM busybox:1.37.0-musl AS busybox

FROM otel/opentelemetry-collector-contrib:0.139.0 AS otel-collector
COPY --from=busybox /bin/busybox /bin/busybox

FROM jaegertracing/jaeger:2.11.0 AS jaeger
COPY --from=busybox /bin/busybox /bin/busybox
# The user that the image runs as owns the folder of its volume.
COPY --from=busybox --chown=10001:10001 /tmp /badger

# Publishes no versions.
FROM andriiuni/events:latest AS reference-publisher
COPY --from=busybox /bin/busybox /bin/busybox
