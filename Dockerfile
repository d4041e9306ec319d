# docker build --tag smspartner-exporter .
# Behind a proxy that inspects TLS: docker build --secret id=ca,src=CERTIFICATES.pem --tag smspartner-exporter .
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PYTHONPATH=/opt/smspartner-exporter
COPY requirements.lock /build/
RUN --mount=type=secret,id=ca \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m pip install --no-cache-dir --no-compile --disable-pip-version-check --root-user-action=ignore \
        --target /opt/smspartner-exporter --only-binary :all: --require-hashes -r /build/requirements.lock \
    && rm -r /opt/smspartner-exporter/bin
COPY LICENSE /opt/smspartner-exporter/
COPY exporter /opt/smspartner-exporter/exporter
# The official image has no bytecode of the standard library: running the programs writes that of what they use. The
# codec is what the first reply needs, the template what the first view of the status page needs.
RUN export PYTHONPYCACHEPREFIX="$PYTHONPATH/bytecode" \
    && python3 -m compileall -q --invalidation-mode unchecked-hash "$PYTHONPATH" \
    && python3 -m exporter --demo --config.check \
    && python3 -c 'import encodings.utf_8_sig, exporter.healthcheck' \
    && python3 -c 'from exporter.status_page.page import TEMPLATES; TEMPLATES.get_template("page.html")'

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="smspartner-exporter" \
      org.opencontainers.image.description="Prometheus exporter for SMS Partner" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
ENV PYTHONPATH=/opt/smspartner-exporter \
    PYTHONPYCACHEPREFIX=/opt/smspartner-exporter/bytecode \
    PYTHONSAFEPATH=1 \
    STATE_DIRECTORY=/var/lib/smspartner-exporter
RUN install -d -m 0700 -o 10035 -g 10035 "$STATE_DIRECTORY"
COPY --from=build /opt/smspartner-exporter /opt/smspartner-exporter
USER 10035:10035
VOLUME ["/var/lib/smspartner-exporter"]
EXPOSE 10035
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python3", "-m", "exporter.healthcheck"]
ENTRYPOINT ["python3", "-m", "exporter"]
