# docker build -t mien . && docker run --rm -p 127.0.0.1:8571:8571 -e MIEN_TOKEN mien
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY recipes ./recipes
# hadolint ignore=DL3013 # what is installed is this folder, whose requirements have lower bounds
RUN pip install '.[web]'

USER 10001:10001
EXPOSE 8571
HEALTHCHECK --interval=30s --timeout=3s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8571/healthz')"]
ENTRYPOINT ["mien", "serve", "--host", "0.0.0.0"]
