# One image for the three roles: the packed package with the dependencies of the lock file, and the servers that the sandbox
# loads dumps with. Nothing of the build is left in it, and it runs as no root.

FROM node:24.21.0-trixie-slim AS package
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm pack --pack-destination /tmp \
 && mkdir /opt/rewind \
 && tar -xzf /tmp/redis-rewind-*.tgz -C /opt/rewind --strip-components=1
WORKDIR /opt/rewind
# The packed package has no lock file; without it the dependencies of dependencies would be whatever is new today. Temporal's core
# comes compiled for five platforms.
RUN cp /src/package-lock.json /src/.npmrc ./ \
 && npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 \
      ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -rf {} +

FROM node:24.21.0-trixie-slim
# 999 is Redis' user in its own image: the agent has to own the dump that it links (fs.protected_hardlinks). The folders are made
# here because a new volume takes over owner and mode of what it covers.
RUN groupadd --system --gid 999 rewind \
 && useradd --system --uid 999 --gid 999 --home-dir /var/lib/rewind --shell /usr/sbin/nologin rewind \
 && apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates redis-server valkey-server \
 && rm -rf /var/lib/apt/lists/* \
 && install --directory --owner=999 --group=999 --mode=0700 /var/lib/rewind /data
COPY --from=package /opt/rewind /opt/rewind
COPY deploy/create-bucket.mjs /opt/rewind/
RUN ln -s /opt/rewind/bin/rewind.mjs /usr/local/bin/rewind
ENV NODE_ENV=production \
    REWIND_CONFIG=/etc/rewind/rewind.yaml \
    REWIND_HOME=/var/lib/rewind
USER 999:999
WORKDIR /var/lib/rewind
ENTRYPOINT ["rewind"]
