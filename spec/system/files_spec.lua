-- Files in and out of a sandbox (moonbox.files): by bytes alone, as the agent, following nothing.
local box = require "support.box"
local core = require "moonbox.core"
local moonbox = require "moonbox"

local sys = core.sys

local function plan()
  return assert(require("moonbox.plan").load("offline"))
end

local function shell(text)
  local done = box.shell(text)
  assert.equal(0, done.code, done.stderr)
  return done.stdout
end

-- What is below a folder: kinds, modes, sizes, targets of links.
local function tree(folder)
  return shell(("cd '%s' && find . -printf '%%P %%y %%m %%l\\n' | sort"):format(folder))
end

for _, way in ipairs { "opened by a program", "with an id" } do
  describe("the files of a sandbox " .. way, function()
    local it_is, here

    setup(function()
      box.enter()
      if way == "with an id" then
        it_is = assert(moonbox.create { policy = "offline" })
      else
        it_is = assert(require("moonbox.sandbox").open(plan()))
      end
      here = shell("mktemp -d"):match("[^\n]+")
    end)
    teardown(function()
      if way == "with an id" then it_is:destroy() else it_is:close() end
      shell("rm -rf '" .. here .. "'")
      box.leave()
    end)

    local function run(...)
      local outcome = assert(it_is:exec { run = { ... } })
      assert.equal(0, outcome.code, outcome.stderr)
      return outcome.stdout
    end

    it("are written whole, read and listed", function()
      local bytes = ("all \0 bytes\n"):rep(100000)
      assert(it_is:write("/workspace/new/deep/data", bytes, 384))
      assert.equal("600 agent\n", run("stat", "-c", "%a %U", "/workspace/new/deep/data"))
      assert.equal(bytes, it_is:read("/workspace/new/deep/data"))
      run("ln", "-s", "nowhere", "/workspace/new/deep/link")
      local list = assert(it_is:list "/workspace/new/deep")
      assert.equal(2, #list)
      assert.same({ "data", "file", 384, #bytes }, { list[1].name, list[1].kind, list[1].mode, list[1].size })
      assert.same({ "link", "link" }, { list[2].name, list[2].kind })
    end)

    it("are refused with a sentence when they can't be had", function()
      run("mkfifo", "/workspace/pipe")
      run("sh", "-c", "head -c 2000 /dev/zero > /workspace/large")
      for path, why in pairs { ["/nosuch"] = "No such file", ["/workspace"] = "it is a directory",
        ["/workspace/pipe"] = "it is no file", ["workspace"] = "is no absolute path",
        ["/dev/zero"] = "it is no file", ["/workspace/large"] = "larger than 1000 bytes" } do
        local bytes, sentence = it_is:read(path, 1000)
        assert.is_nil(bytes, path)
        assert.truthy(sentence:find(why, 1, true), sentence)
      end
      local written, sentence = it_is:write("/usr/bin/new", "x")
      assert.is_nil(written)
      assert.truthy(sentence:find("Read%-only") or sentence:find("Permission"), sentence)
      assert.is_nil((it_is:list "/root"))
    end)

    it("are copied in and out as they are, but for owners and special bits", function()
      shell(([[cd '%s' && mkdir -p tree/a/empty && printf body >tree/a/file && chmod 4751 tree/a/file &&
        chmod 700 tree/a && ln -s /etc/passwd tree/link && truncate -s 1G tree/sparse &&
        printf end >>tree/sparse && touch "$(printf 'tree/a b\nc')"]]):format(here))
      assert.same({}, assert(it_is:copy_in(here .. "/tree", "/workspace")))
      assert.equal("751 agent\nbody", run("sh", "-c", "cd /workspace/tree/a && stat -c '%a %U' file && cat file"))
      assert.same({}, assert(it_is:copy_out("/workspace/tree", here .. "/back")))
      shell("chmod u-s '" .. here .. "/tree/a/file'")
      assert.equal(tree(here .. "/tree"), tree(here .. "/back"))
      shell(("cmp '%s/tree/sparse' '%s/back/sparse' && test $(du -k '%s/back/sparse' | cut -f1) -lt 1000")
        :format(here, here, here))
    end)

    it("99: leave pipes and sockets behind, and say so", function()
      run("sh", "-c", "mkdir -p /workspace/odd && mkfifo /workspace/odd/fifo && touch /workspace/odd/file")
      local left_out = assert(it_is:copy_out("/workspace/odd", here))
      assert.same({ "fifo is left out: it is neither a file nor a directory nor a link" }, left_out)
      assert.equal(" d 755 \nfile f 644 \n", tree(here .. "/odd"))
    end)

    it("99: never lead out of where they are put, whatever links are there", function()
      shell(("mkdir '%s/target' '%s/canary' && echo safe >'%s/canary/x' && ln -s ../canary '%s/target/sub' && " ..
        "ln -s ../canary/x '%s/target/flat'"):format(here, here, here, here, here))
      run("sh", "-c", "mkdir -p /workspace/target/sub && echo bad >/workspace/target/sub/x")
      local done, sentence = it_is:copy_out("/workspace/target", here)
      assert.is_nil(done)
      assert.truthy(sentence:find("what is there already is no directory", 1, true), sentence)
      run("sh", "-c", "rm -rf /workspace/target && mkdir /workspace/target && echo good >/workspace/target/flat")
      assert(it_is:copy_out("/workspace/target", here))
      assert.equal("safe\n", sys.read_file(here .. "/canary/x", 100))
      assert.equal("good\n", sys.read_file(here .. "/target/flat", 100))
    end)

    it("99: stay inside while a folder is swapped for a link again and again (CVE-2018-15664)", function()
      run("sh", "-c", "mkdir -p /workspace/race/dir && cd /workspace/race && echo inside >dir/hosts && ln -s /etc link")
      assert(it_is:exec { run = { "sh", "-c", [[cd /workspace/race; (i=0; while [ $i -lt 20000 ]; do i=$((i+1))
        mv -T dir t; mv -T link dir; mv -T dir link; mv -T t dir; done) >/dev/null 2>&1 &]] } })
      local mine = sys.read_file("/etc/hosts", 65536)
      for i = 1, 30 do
        local out = here .. "/race" .. i
        if it_is:copy_out("/workspace/race", out) then
          local got = sys.lstat(out .. "/dir/hosts") and sys.lstat(out .. "/dir").kind == "directory"
            and sys.read_file(out .. "/dir/hosts", 65536)
          assert.truthy(not got or got == "inside\n", got)
        end
        it_is:copy_in(here .. "/canary", "/workspace/race/dir")
        it_is:write("/workspace/race/dir/hosts", "inside\n")
      end
      assert.equal(mine, sys.read_file("/etc/hosts", 65536))
    end)
  end)
end

-- core/transfer's stream, as somebody who means harm would write it.
local function entry(kind, name, size, after)
  local function number(n, bytes)
    local out = {}
    for i = 1, bytes do
      out[i] = string.char(n % 256)
      n = math.floor(n / 256)
    end
    return table.concat(out)
  end
  return number(size or 0, 8) .. number(0, 8) .. number(420, 4) .. number(#name, 2) .. kind .. "\0" .. name
    .. (after or ""), number
end

describe("a stream that means harm", function()
  local here, number
  setup(function()
    here = shell("mktemp -d"):match("[^\n]+")
    number = select(2, entry("f", "x"))
    shell("mkdir '" .. here .. "/in'")
  end)
  teardown(function() shell("rm -rf '" .. here .. "'") end)

  local function unpack_it(bytes, most)
    local transfer = assert(core.transfer.unpack(here .. "/in", "name", most or 2 ^ 20, 100))
    sys.write(transfer:fd(), bytes)
    local whole, told = transfer:finish()
    return whole, told
  end

  it("99: is refused, and nothing is made outside of its place", function()
    local body = number(3, 8) .. "bad" .. number(0, 8)
    local up = entry("u", "")
    for _, name in ipairs { "../x", "..", ".", "a/b", "/etc/x", "a\0b" } do
      local whole, told = unpack_it(entry("d", "top") .. entry("f", name, 0, body) .. up)
      assert.is_false(whole, name)
      assert.truthy(told:find("a name that is none", 1, true), told)
    end
    local deep = entry("d", "top") .. entry("d", "d"):rep(300)
    for what, bytes in pairs { ["no such kind"] = entry("q", "x"), ["too early"] = entry("d", "top"):sub(1, 10),
      ["a file without end"] = entry("f", "x", 0, number(5, 8) .. "ab"), ["too deep"] = deep,
      ["a link of no length"] = entry("l", "x", 0), ["a link that is too long"] = entry("l", "x", 1e6),
      ["a long name"] = entry("f", ("n"):rep(300)), ["end of nothing"] = up,
      ["too much"] = entry("f", "x", 0, number(2 ^ 30, 8)), ["a huge hole"] = entry("f", "x", 0, ("\255"):rep(16)) } do
      assert.is_false((unpack_it(bytes)), what)
    end
    assert.is_false((unpack_it(entry("d", "top") .. entry("f", "x", 0, number(0, 8)):rep(200) .. up)))
    assert.equal("in\n", shell("ls -A '" .. here .. "'"))
    assert.equal("", shell("find '" .. here .. "' -name '.moonbox*'"))
  end)

  it("is taken when it is fine", function()
    shell("rm -rf '" .. here .. "/in/name'")
    local bytes = entry("f", "whatever", 0, number(4, 8) .. "fine" .. number(0, 8))
    assert.is_true((unpack_it(bytes)))
    assert.equal("fine", sys.read_file(here .. "/in/name", 100))
  end)
end)

describe("moonbox cp", function()
  setup(box.enter)
  teardown(box.leave)

  it("copies both ways and refuses what makes no sense", function()
    local one = assert(moonbox.create { policy = "offline", id = "copies" })
    local path = os.tmpname()
    sys.write_file(path, "host", 384)
    local function cp(from, to) return box.shell(box.words { box.program, "cp", from, to }) end
    assert.equal(0, cp(path, "copies:/workspace/in").code)
    assert.equal("host", one:read "/workspace/in")
    assert(one:write("/workspace/in", "sandbox"))
    assert.equal(0, cp("copies:/workspace/in", path).code)
    assert.equal("sandbox", sys.read_file(path, 100))
    os.remove(path)
    for _, pair in ipairs { { "a", "b", 64 }, { "copies:/a", "copies:/b", 64 }, { "nosuch:/a", "b", 125 },
      { "copies:/nosuch", "/tmp", 1 }, { "/nosuch/x", "copies:/tmp", 1 }, { "copies:/", "/tmp", 64 } } do
      local done = cp(pair[1], pair[2])
      assert.equal(pair[3], done.code, done.stderr)
      assert.truthy(done.stderr:find("^moonbox: "), done.stderr)
    end
    assert(one:destroy())
  end)
end)
