# reidbench on the CPU.
#   docker build --tag reidbench .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" reidbench run matrix.yaml
FROM python:3.11-slim-bookworm

# No layer keeps the download cache; the extra index has torch without the CUDA libraries.
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY reidbench reidbench
COPY plugins plugins
RUN pip install --prefer-binary --constraint constraints.txt ".[fast,data,report,onnx,pandas]" faiss-cpu

# Any user ID may run the image, also one without a name or a home folder.
ENV HOME=/tmp \
    USER=reidbench \
    REIDBENCH_CACHE=/tmp/reidbench-cache

# Results are in .reidbench of this folder: mount yours over it to keep them.
WORKDIR /work
COPY benchmarks/quickstart.yaml ./
RUN chown 1000:1000 /work
USER 1000:1000
ENTRYPOINT ["reidbench"]
CMD ["--help"]
