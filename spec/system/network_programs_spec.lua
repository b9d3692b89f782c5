-- Programs as they are, without a proxy variable or any other preparation, through a policy's allowlist. In the lab.
local box = require "support.box"
local lab = require "support.lab"
local mode = require "support.mode"

local ROWS = [[
  allow { "allowed.test", "*.allowed.test" },
  allow_internal { "10.7.7.7:5432", why = "the team's database" },
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
