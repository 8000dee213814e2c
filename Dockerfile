# The image of one node. The node home is a volume, made by `tefca-node init` (docker/join.sh).
FROM python:3.11-slim AS packages
COPY requirements/runtime.lock /tmp/runtime.lock
RUN python -m venv /opt/packages \
 && /opt/packages/bin/pip install --no-cache-dir --require-hashes -r /tmp/runtime.lock

FROM python:3.11-slim
COPY --from=packages /opt/packages /opt/packages
ENV PATH=/opt/tefca-node/docker:/opt/packages/bin:$PATH \
    PYTHONPATH=/opt/tefca-node \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TEFCA_NODE_HOME=/homes/node
COPY LICENSE /opt/tefca-node/
COPY docker /opt/tefca-node/docker
COPY examples /opt/tefca-node/examples
COPY trust /opt/tefca-node/trust
COPY directory /opt/tefca-node/directory
COPY protos /opt/tefca-node/protos
COPY node /opt/tefca-node/node
RUN python -m compileall -q /opt/tefca-node

# volumes take their first owner from the folders of the image
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin tefca \
 && install -d -o tefca -g tefca -m 700 /homes /homes/node /homes/lake /homes/hill /homes/ca
USER tefca
WORKDIR /homes

EXPOSE 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8445/readyz', timeout=4)"]
ENTRYPOINT ["tefca-node"]
CMD ["serve"]
