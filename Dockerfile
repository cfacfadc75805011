# One image for the worker, the API, the archiver and the commands that operate it. Build: docker build -t matih-tracking:0.0.1 .
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
COPY requirements/servers.txt ./
# Names, versions and hashes are locked; which index they come from is the builder's own configuration.
RUN python -m venv /opt/matih \
 && /opt/matih/bin/pip install --no-cache-dir --require-hashes -r servers.txt
COPY . .
RUN /opt/matih/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="matih-tracking" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 matih \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/matih --create-home --shell /usr/sbin/nologin matih
COPY --from=build /opt/matih /opt/matih
ENV PATH=/opt/matih/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MATIH_WORKER_HOST=0.0.0.0 \
    MATIH_WORKER_DATADIR=/var/lib/matih/worker \
    MATIH_API_HOST=0.0.0.0 \
    MATIH_AUDIT_HOST=0.0.0.0 \
    MATIH_API_DATADIR=/var/lib/matih/api \
    MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
WORKDIR /var/lib/matih
VOLUME /var/lib/matih
EXPOSE 8080 8090 8091
# Liveness of the worker: /readyz is red while the store is down, and a restart does not help then.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8090/healthz', timeout=4)"]
ENTRYPOINT ["matih"]
CMD ["worker"]
