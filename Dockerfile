# One image for every service: gateway, steward and workers differ in their command only.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH
WORKDIR /build

# Dependencies change less often than the code: a layer of their own, from the requirements alone.
COPY constraints.txt ./
COPY schemas/pyproject.toml schemas/
COPY client/pyproject.toml client/
COPY worker/pyproject.toml worker/
COPY gateway/pyproject.toml gateway/
RUN python -c "import glob, tomllib; \
        declared = [d for p in glob.glob('*/pyproject.toml') for d in tomllib.load(open(p, 'rb'))['project']['dependencies']]; \
        print(*sorted({d for d in declared if not d.startswith('penstock-')}), sep='\n')" > requirements.txt \
    && pip install --constraint constraints.txt hatchling --requirement requirements.txt

COPY schemas/ schemas/
COPY client/ client/
COPY worker/ worker/
COPY gateway/ gateway/
RUN pip install --no-deps --no-build-isolation ./schemas ./client ./worker ./gateway \
    && pip uninstall --yes hatchling

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/penstock penstock \
    && install --directory --owner penstock --mode 700 /var/lib/penstock/keys
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH PYTHONUNBUFFERED=1 PENSTOCK_HOME=/var/lib/penstock
USER penstock
WORKDIR /var/lib/penstock
ENTRYPOINT ["penstock"]
CMD ["--help"]
