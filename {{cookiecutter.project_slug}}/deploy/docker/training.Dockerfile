# syntax=docker/dockerfile:1
# Any command of the package, and SageMaker's training jobs: `make image-training`. Build arguments:
#   RUN_AS   who runs it, as user:group; SageMaker wants 0:0
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
# {% if cookiecutter.tracking == "mlflow" %}
    uv sync --frozen --no-dev --no-install-project --extra training --extra tracking
# {% else %}
    uv sync --frozen --no-dev --no-install-project --extra training
# {% endif %}

FROM base AS code
COPY src /app/src
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/app/src"]
COPY config /app/config
COPY deploy/docker/train.py /app/

FROM python:{{ cookiecutter.python_version }}-slim-bookworm
COPY --from=packages /opt/venv /opt/venv
COPY --from=code /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PROJECT_ROOT=/app PYTHONPATH=/app/src \
    HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ARG RUN_AS=10001:10001
ARG VERSION=unknown
LABEL org.opencontainers.image.title={{ cookiecutter.project_slug }}-training \
      org.opencontainers.image.revision=${VERSION}
USER ${RUN_AS}
# It runs a command and ends: there is nothing that could be asked for its health.
HEALTHCHECK NONE
ENTRYPOINT ["python", "/app/train.py"]
CMD ["pipeline"]
