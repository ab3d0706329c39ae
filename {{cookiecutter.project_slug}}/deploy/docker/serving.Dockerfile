# syntax=docker/dockerfile:1
# The API, and no more than it needs: `make image`. Two build arguments:
#   MODEL    baked: models/latest lies in the image; mounted: the folder `models` is mounted at /app/models
#   VERSION  what the image is called in its labels
ARG MODEL=baked

FROM python:{{ cookiecutter.python_version }}-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY pyproject.toml uv.lock ./
# Packages first, so that a change of the code does not install them anew.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --extra serving --no-install-project
COPY README.md LICENSE ./
COPY src src
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --extra serving --no-editable

FROM python:{{ cookiecutter.python_version }}-slim-bookworm AS versions
COPY models /models
COPY deploy/docker/keep_latest.py /
RUN ["python", "/keep_latest.py", "/models", "/latest"]

FROM python:{{ cookiecutter.python_version }}-slim-bookworm AS mounted
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --no-create-home --shell /usr/sbin/nologin app
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY config config

FROM mounted AS baked
COPY --from=versions /latest models

# hadolint ignore=DL3006
FROM ${MODEL}
ARG VERSION=dev
LABEL org.opencontainers.image.title="{{ cookiecutter.project_slug }}" \
      org.opencontainers.image.version="${VERSION}"
ENV PATH=/opt/venv/bin:$PATH PROJECT_ROOT=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY deploy/docker/start.py /usr/local/bin/start
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "/usr/local/bin/start", "check"]
ENTRYPOINT ["python", "/usr/local/bin/start"]
CMD ["serve"]
