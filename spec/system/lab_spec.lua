-- The lab itself (spec/lab): its servers answer as the specs that use it think, it has no way out, and it leaves nothing.
local box = require "support.box"
local lab = require "support.lab"

local function at(name, port) return ("%s,%d"):format(lab.address[name], port) end

describe("the lab", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names() end)

  it("is left by the cable alone", function()
    assert.equal("host0\nlo\n", box.shell("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort").stdout)
    assert.equal("default via 198.51.100.1 dev host0\n", (box.shell("ip route show default").stdout:gsub(" +\n", "\n")))
  end)

  it("runs its command with the caller's privilege and no more", function()
    local effective = box.read("/proc/self/status"):match("CapEff:%s*(%x+)")
    if require("support.mode").name() == "user" then
      assert.equal(("0"):rep(16), effective)
      assert.is_not.equal(0, box.shell("ip link set host0 down").code)
    else
      assert.is_not.equal(("0"):rep(16), effective)
    end
  end)

  it("has every address of the world, and streams that end in every way", function()
    for _, address in ipairs { "203.0.113.10", "8.8.8.8", "169.254.169.254", "10.1.2.3", "172.16.5.5", "192.168.9.9", "100.64.1.1",
      "[fd00:ec2::254]", "[2001:db8:113::10]" } do
      local result = box.shell(("curl -sS -g --max-time 20 http://%s/hello"):format(address))
      assert.equal("hello from " .. address:gsub("[%[%]]", "") .. "\n", result.stdout, result.stderr)
    end
    local point = lab.now()
    lab.expect_outside {
      ["connect," .. at("site", 81)] = "ECONNREFUSED",
      ["connect," .. at("unreachable", 80)] = "EHOSTUNREACH",
      ["banner," .. at("site", 2022)] = "SSH-2.0-lab",
      ["echo," .. at("site", 7) .. ",3000000"] = "ok",
      ["sent," .. at("site", 2003) .. ",100000"] = "100000 bytes",
      ["first," .. at("site", 2002)] = "first",
      ["talk," .. at("site", 2001)] = "ECONNRESET",
      ["reset," .. at("site", 2004)] = "ok",
      ["udp," .. at("site", 443)] = "ECONNREFUSED",
      ["udp,2001:db8:113::10,443"] = "ECONNREFUSED",
      ["two," .. at("site", 80) .. ",a.test,b.test"] = "200 200",
      ["tls," .. at("site", 443) .. ",evil.test"] = "ok",
      ["tls," .. at("site", 443) .. ",-"] = "ok",
    }
    assert.is_true(box.wait_for(function() return #lab.log("streams", point, { port = 2004, ["end"] = "reset" }) == 1 end, 20))
    assert.is_true(box.wait_for(function() return #lab.log("streams", point, { port = 2002, bytes = 3 }) == 1 end, 20))
    assert.equal(1, #lab.log("web", point, { sni = "evil.test" }))
  end)

  it("resolves what its script says, and logs each query", function()
    lab.names {
      ["flip.test"] = { turns = { { A = { "203.0.113.10" }, ttl = 0 }, { A = { "10.0.0.1" }, ttl = 0 } } },
      ["chain.test"] = { CNAME = { "end.test" } }, ["end.test"] = { A = { "10.9.9.9" } },
      ["*.wild.test"] = { A = { "203.0.113.11" } }, ["six.test"] = { AAAA = { "64:ff9b::a00:1" } },
      ["quiet.test"] = { silent = true }, ["broken.test"] = { raw = "8180000100ff00000000" },
      ["big.test"] = { truncate = true, A = { "203.0.113.12" } },
    }
    local point = lab.now()
    assert.equal("203.0.113.10", lab.try_outside({ "resolve,flip.test" })["resolve,flip.test"])
    lab.expect_outside {
      ["resolve,flip.test"] = "10.0.0.1", ["resolve,chain.test"] = "10.9.9.9", ["resolve,a.b.wild.test"] = "203.0.113.11",
      ["resolve,six.test"] = "64:ff9b::a00:1", ["resolve,big.test"] = "203.0.113.12", ["resolve,absent.test"] = "EAI_NONAME",
      ["ask,203.0.113.53,chain.test,A"] = "NOERROR 2", ["ask,203.0.113.53,absent.test,A,tcp"] = "NXDOMAIN 0",
      ["ask,203.0.113.53,six.test,TXT"] = "NOERROR 0", ["ask,203.0.113.53,quiet.test,A"] = "ETIMEDOUT",
    }
    assert.equal("A flip.test", lab.queries(point)[1])
    assert.equal(2, #lab.log("dns", point, { name = "flip.test", type = "A" }))
    assert.is_true(#lab.log("dns", point, { name = "big.test", transport = "tcp" }) > 0)
  end)

  it("counts packets: a control sends some, silence sends none", function()
    local point = lab.now()
    assert.same({}, lab.packets(point))
    lab.try_outside { "connect,8.8.8.8,80", "udp,8.8.8.8,53", "udp,2001:db8::8,853" }
    assert.same({ "tcp 8.8.8.8 80", "udp 8.8.8.8 53", "udp 2001:db8::8 853" }, lab.packets(point))
  end)

  local function shell(line)
    return box.shell(("export GIT_SSL_CAINFO=%s CURL_CA_BUNDLE=%s; cd %s; %s"):format(lab.ca, lab.ca, box.home, line))
  end

  it("has TLS with an authority of its own, git, and package registries", function()
    assert.equal("hello from 203.0.113.10\n", shell("curl -sS -4 https://sub.allowed.test/hello").stdout)
    assert.equal(0, box.shell("curl -sS https://allowed.test/hello").code)
    local authorities = box.read("/etc/ssl/certs/ca-certificates.crt")
    assert.equal(1, authorities:find(box.read(lab.ca), 1, true))
    for name, url in pairs { https = "https://allowed.test/git/month-days.git", git = "git://allowed.test/month-days.git" } do
      local result = shell(("git clone --quiet %s %s && ls %s/package.json"):format(url, name, name))
      assert.equal(name .. "/package.json\n", result.stdout, result.stderr)
    end
    assert.truthy(shell("curl -sS https://npm.allowed.test/npm/leap-years").stdout:find('"latest": "1.0.0"', 1, true))
    assert.truthy(shell("curl -sS https://pypi.allowed.test/simple/moonbox-lab/").stdout:find("whl", 1, true))
    assert.equal(0, shell("curl -sS http://deb.allowed.test/debian/Packages.gz | gzip -dc | grep -q moonbox-lab").code)
  end)

  it("has git over ssh, for who holds its key", function()
    require("support.mode").need("dbclient", "the lab's ssh server is dropbear")
    shell("cp $MOONBOX_LAB/ssh/id key && chmod 600 key")
    local ssh = ("GIT_SSH_COMMAND='ssh -F none -o IdentitiesOnly=yes -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null' "
      .. "git clone --quiet git@allowed.test:month-days.git %s && ls %s/package.json")
    local result = shell(ssh:format("key", "ssh", "ssh"))
    assert.equal("ssh/package.json\n", result.stdout, result.stderr)
    assert.is_not.equal(0, shell(ssh:format("other", "none", "none")).code)
  end)

  -- git can't start where it finds a broken repository, and no program where its environment is too long.
  it("serves a checkout that its servers may not enter, and answers at once where one of them fails", function()
    local done = box.shell(([[umask 077; mkdir -p %s/closed/spec %s/closed/examples/demo
      cp -R spec/lab %s/closed/spec; cp -R examples/demo/project %s/closed/examples/demo; cd %s/closed; mkdir tmp home
      cat > try <<'END'
        git clone --quiet https://allowed.test/git/month-days.git https && git clone --quiet git://allowed.test/month-days.git git
        ls https/package.json git/package.json
        cd $MOONBOX_LAB; umask 022; mkdir refs objects; echo 'ref: refs/heads/main' > HEAD; echo '[' > config
        curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' \
          "https://allowed.test/git/month-days.git/info/refs?service=git-upload-pack"
        /usr/bin/python3 -c 'if True:
          import http.client
          connection = http.client.HTTPConnection("allowed.test", timeout=20)
          connection.request("GET", "/git/month-days.git/HEAD", headers={"Content-Type": 200000 * "x"})
          try: print(connection.getresponse().status)
          except http.client.RemoteDisconnected: print("closed")'
END
      HOME=$PWD/home TMPDIR=$PWD/tmp /usr/bin/python3 -B spec/lab/lab.py sh try; ls -A tmp]]):gsub("%%s", box.home))
    assert.equal("git/package.json\nhttps/package.json\n500\nclosed\n", done.stdout, done.stderr)
  end)

  it("leaves no process, namespace or mount, even when its first process is killed", function()
    local stop = "spec/lab/lab.py sh -c 'echo up; exec sleep 600' > " .. box.home .. "/out & echo $!"
    for _, signal in ipairs { "KILL", "TERM" } do
      local before = box.read("/proc/self/mountinfo")
      os.remove(box.home .. "/out")
      local pid = box.shell("MOONBOX_SPEC_LAB=" .. box.home .. " /usr/bin/python3 -B " .. stop).stdout:match("%d+")
      assert.is_true(box.wait_for(function() return box.read(box.home .. "/out") == "up\n" end, 30), "no lab within the lab")
      local function left()
        return box.shell("grep -lz MOONBOX_SPEC_LAB=" .. box.home .. " /proc/[0-9]*/environ 2>/dev/null | wc -l").stdout
      end
      assert.is_not.equal("0\n", left())
      assert.equal(0, box.shell("kill -" .. signal .. " " .. pid).code)
      assert.is_true(box.wait_for(function() return left() == "0\n" end, 30), signal .. " left processes")
      assert.equal(before, box.read("/proc/self/mountinfo"))
    end
  end)
end)
