-- Programs as they are, without a proxy variable or any other preparation, through a policy's allowlist. In the lab.
local box = require "support.box"
local lab = require "support.lab"
local mode = require "support.mode"

local ROWS = [[
  allow { "allowed.test", "*.allowed.test" },
  allow_internal { "10.7.7.7:5432", why = "the team's database" },  hosts = { db = "10.7.7.7" },
]]

local ZONE = {
  ["allowed.test"] = { turns = { { A = { "203.0.113.10" } } } },
  ["npm.allowed.test"] = { turns = { { A = { "203.0.113.10" } } } },
}

local JAVA = [[
import java.net.URI;
import java.net.http.*;
public class Get {
  public static void main(String[] a) throws Exception {
    var client = HttpClient.newHttpClient();
    for (var name : new String[] { "allowed.test", "evil.test" }) {
      try {
        var request = HttpRequest.newBuilder(URI.create("http://" + name + "/hello")).build();
        System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
      } catch (java.net.ConnectException e) { System.out.println("refused"); }
    }
  }
}
]]

local MUSL = [[
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
  struct addrinfo *a, hints = {.ai_socktype = SOCK_STREAM};
  printf("%d\n", getaddrinfo("evil.test", "80", &hints, &a) != 0);
  if (getaddrinfo("allowed.test", "80", &hints, &a)) return 1;
  int fd = socket(a->ai_family, SOCK_STREAM, 0);
  if (connect(fd, a->ai_addr, a->ai_addrlen)) return 2;
  dprintf(fd, "GET /hello HTTP/1.0\r\nHost: allowed.test\r\n\r\n");
  char text[4096]; int n, all = 0;
  while ((n = read(fd, text + all, sizeof text - all)) > 0) all += n;
  printf("%d\n", all > 50);
  return 0;
}
]]

-- What a WebSocket library does on top of node's own client (RFC 6455), over plain HTTP and over TLS.
local WEBSOCKET = [[
const client = { ws: require("http"), wss: require("https") };
function talk(url, text) {
  const { protocol, hostname } = new URL(url);
  const scheme = protocol.slice(0, -1);
  return new Promise((done) => {
    const request = client[scheme].request({ hostname, path: "/ws", headers: { Connection: "Upgrade", Upgrade: "websocket",
      "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" } });
    request.on("upgrade", (response, socket) => {
      const body = Buffer.from(text);
      socket.on("data", (frame) => { console.log(scheme, frame.subarray(2).toString()); socket.end(); done(); });
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]), body]));
    });
    request.on("error", (error) => { console.log(scheme, error.code); done(); });
    request.end();
  });
}
(async () => {
  await talk("ws://allowed.test", "over HTTP");
  await talk("wss://allowed.test", "over TLS");
  await talk("wss://evil.test", "nowhere");
})();
]]

-- A database of the lab's own, for as long as `use()` runs: PostgreSQL never runs as root.
local function with_database(use)
  local folder, bin = lab.folder .. "/postgres", "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
  local as = mode.name() == "root" and "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""
  local data = box.home .. "/data"
  local function must(command)
    local done = box.shell(command)
    assert(done.code == 0, done.stderr .. done.stdout)
  end
  must(("mkdir -m 777 %s %s"):format(folder, data))
  must(("%s%s/initdb -D %s/db -U lab -A trust -N --no-instructions"):format(as, bin, data))
  must(("%s%s/pg_ctl -D %s/db -w -l %s/log -o '-k %s -c listen_addresses= -F' start >&2"):format(as, bin, data, data, folder))
  local worked, why = pcall(use)
  box.shell(("%s%s/pg_ctl -D %s/db -w -m immediate stop"):format(as, bin, data))
  assert(worked, why)
end

describe("programs through the gateway", function()
  local policy
  setup(function()
    box.enter()
    policy = lab.policy(ROWS, [[
  limits = { memory = 2 * GB, cpus = 2, processes = 512 },
  files = { read_only { "/etc/java-17-openjdk", "/etc/java-21-openjdk", "/etc/java-25-openjdk", optional = true } },]])
    lab.names(ZONE)
  end)
  teardown(box.leave)

  local function run(script)
    local result = lab.exec(policy, { "/bin/sh", "-ec", script })
    assert.equal(0, result.code, result.stderr .. result.stdout)
    return result.stdout
  end

  it("git over https", function()
    assert.equal("Days of a month\n", run [[
      export GIT_SSL_CAINFO=/opt/lab/ca.pem
      git clone -q https://allowed.test/git/month-days.git one && git -C one log --format=%s
      ! git clone -q https://evil.test/git/month-days.git two 2>/dev/null]])
  end)

  it("git over ssh", function()
    mode.need("/usr/sbin/dropbear", "it is the lab's ssh server")
    mode.need("ssh", "it is what git starts")
    assert.equal("Days of a month\n", run [[
      cp /opt/lab/id ~/id && chmod 600 ~/id
      export GIT_SSH_COMMAND="ssh -q -i $HOME/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
      git clone -q git@allowed.test:month-days.git one && git -C one log --format=%s]])
  end)

  it("curl", function()
    mode.need("curl", "it is what is tried")
    assert.equal("hello from 203.0.113.10\nhello from 203.0.113.10\n6\n", run [[
      curl -sS --cacert /opt/lab/ca.pem https://allowed.test/hello
      curl -sS http://allowed.test/hello
      curl -s http://evil.test/hello || echo $?]])
  end)

  it("npm and node", function()
    assert.equal("function\nhello from 203.0.113.10\nENOTFOUND\n", run [[
      export SSL_CERT_FILE=/opt/lab/ca.pem NODE_OPTIONS=--use-openssl-ca
      npm install --cafile=/opt/lab/ca.pem --no-audit --no-fund --registry=https://npm.allowed.test/npm/ leap-years >&2
      rm -r node_modules && npm ci --cafile=/opt/lab/ca.pem --no-audit --no-fund --registry=https://npm.allowed.test/npm/ >&2
      node -e 'console.log(typeof (require("leap-years").isLeapYear || require("leap-years")))'
      node -e 'fetch("https://allowed.test/hello").then(async r => { process.stdout.write(await r.text());
        fetch("https://evil.test/hello").catch(e => console.log(e.cause.code)) })']])
  end)

  it("python: urllib and asyncio", function()
    assert.equal("hello from 203.0.113.10\nhello from 203.0.113.10\n", run [[
      export SSL_CERT_FILE=/opt/lab/ca.pem
      python3 -c 'import urllib.request as u; print(u.urlopen("https://allowed.test/hello").read().decode(), end="")'
      python3 - <<'EOF'
import asyncio
async def main():
    reader, writer = await asyncio.open_connection("allowed.test", 80)
    writer.write(b"GET /hello HTTP/1.0\r\nHost: allowed.test\r\n\r\n")
    print((await reader.read()).split(b"\r\n\r\n")[1].decode(), end="")
asyncio.run(main())
EOF
]])
  end)

  it("node: WebSockets", function()
    assert.equal("ws over HTTP\nwss over TLS\nwss ENOTFOUND\n", run([[
      export SSL_CERT_FILE=/opt/lab/ca.pem NODE_OPTIONS=--use-openssl-ca
      cat > talk.js <<'EOF'
]] .. WEBSOCKET .. [[
EOF
      node talk.js]]))
  end)

  it("python: requests", function()
    mode.need("/usr/lib/python3/dist-packages/requests", "it is what is tried")
    assert.equal("hello from 203.0.113.10\nConnectionError\n", run [[
      export REQUESTS_CA_BUNDLE=/opt/lab/ca.pem
      python3 - <<'EOF'
import requests
with requests.Session() as session:
    for _ in range(3):
        text = session.get("https://allowed.test/hello").text
    print(text, end="")
try:
    requests.get("https://evil.test/hello")
except requests.exceptions.ConnectionError as why:
    print(type(why).__name__)
EOF
]])
  end)

  it("psql, to the one internal server that a row opens", function()
    mode.need("/usr/lib/postgresql/*/bin/postgres", "it is the server")
    mode.need("/usr/lib/postgresql/*/bin/psql", "it is what is tried")
    with_database(function()
      assert.equal("42\n10000\nrefused\nrefused\n", run [[
        psql="$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/psql -XAt -U lab postgres"
        $psql -h db -c 'select 6 * 7'
        seq 10000 | $psql -h 10.7.7.7 -c 'create temp table t (n int)' -c '\copy t from pstdin' -c 'select count(*) from t' |
          tail -n 1
        for where in "-h 10.7.7.8" "-h db -p 5433"; do
          $psql $where -c 'select 1' 2>&1 | grep -q refused && echo refused
        done]])
    end)
  end)

  it("pip", function()
    mode.need("/usr/bin/pip3", "it is what is tried")
    assert.equal("from the index\n", run [[
      python3 -m pip install -q --disable-pip-version-check --cert /opt/lab/ca.pem \
        --index-url https://allowed.test/simple/ --target /workspace/site moonbox-lab 2>&1
      PYTHONPATH=/workspace/site python3 -c 'import moonbox_lab; print(moonbox_lab.WORD)']])
  end)

  it("apt, in directories of its own", function()
    assert.equal("moonbox-lab_1.0_all.deb\n", run [[
      mkdir -p apt/lists/partial apt/cache/archives/partial apt/dpkg && touch apt/dpkg/status
      echo 'deb [trusted=yes] http://allowed.test/debian ./' > apt/sources.list
      apt="apt-get -qq -o Dir::Etc=/workspace/apt -o Dir::Etc::sourcelist=/workspace/apt/sources.list
        -o Dir::State=/workspace/apt -o Dir::State::status=/workspace/apt/dpkg/status -o Dir::Cache=/workspace/apt/cache
        -o APT::Sandbox::User=agent"
      $apt update >&2 && $apt download moonbox-lab >&2 && ls *.deb]])
  end)

  it("a static program with its C library's own resolver", function()
    mode.need("/usr/bin/musl-gcc", "it compiles such a program")
    assert.equal("1\n1\n", run("cat > get.c <<'EOF'\n" .. MUSL .. "EOF\nmusl-gcc -static -o get get.c && ./get"))
  end)

  it("Java's HTTP client", function()
    mode.need("/usr/bin/javac", "it compiles the client")
    assert.equal("hello from 203.0.113.10\nrefused\n",
      run("cat > Get.java <<'EOF'\n" .. JAVA .. "EOF\njavac Get.java && java Get"))
  end)
end)
