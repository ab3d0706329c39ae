# syntax=docker/dockerfile:1
# The API, and no more than it needs: `make image`. Targets:
#   baked    the version that models/latest names lies in the image
#   mounted  a folder like models/ is mounted at /app/models
# Build arguments:
#   RUN_AS   who runs it, as user:group
#   VERSION  what its labels say of the code, such as the commit
FROM python:{{ cookiecutter.python_version }}-slim-bookworm AS base
# Compiled files are read without a look at their source, so they may lie in an image that nobody can write to.
ENV PYC_INVALIDATION_MODE=UNCHECKED_HASH UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_CACHE_DIR=/var/cache/uv UV_PYTHON_DOWNLOADS=never

FROM base AS packages
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv
WORKDIR /build
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --frozen --no-dev --no-install-project --extra serving

FROM base AS code
COPY src /app/src
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/app/src"]
COPY config /app/config
# {% if cookiecutter.cloud == "none" %}
COPY deploy/docker/start.py /app/
# {% else %}
COPY deploy/docker/start.py deploy/docker/secrets_manager.py /app/
# {% endif %}

FROM python:{{ cookiecutter.python_version }}-slim-bookworm AS mounted
# Packages, code, model: what changes more often lies further up, and a change of one rebuilds no other.
COPY --from=packages /opt/venv /opt/venv
COPY --from=code /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PROJECT_ROOT=/app PYTHONPATH=/app/src \
    HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ARG RUN_AS=10001:10001
ARG VERSION=unknown
LABEL org.opencontainers.image.title={{ cookiecutter.project_slug }} \
      org.opencontainers.image.revision=${VERSION} \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
USER ${RUN_AS}
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "/app/start.py", "check"]
ENTRYPOINT ["python", "/app/start.py"]

FROM base AS latest
COPY models /models
COPY deploy/docker/keep_latest.py /
RUN ["python", "/keep_latest.py", "/models", "/latest"]

FROM mounted AS baked
COPY --from=latest /latest models
