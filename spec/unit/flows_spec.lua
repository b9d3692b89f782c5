local core = require "moonbox.core"
local flows = require "moonbox.flows"
local cli = require "moonbox.cli.flows"

local directory

local function write(lines, name)
  local handle = assert(io.open(directory .. "/" .. (name or "flows.jsonl"), "wb"))
  handle:write(table.concat(lines, "\n") .. "\n")
  handle:close()
  return directory .. "/" .. (name or "flows.jsonl")
end

-- Lines as a gateway writes them.
local allowed = '{"time":1763940000.123456,"event":"flow","id":1,"step":"install","name":"a.example.org",'
  .. '"address":"203.0.113.10","port":443,"protocol":"tcp","verdict":"allow","rule":"p.lua:18","up":1000,"down":2097152,'
  .. '"seconds":0.5,"outcome":"closed"}'
local opened = '{"time":1763940000.0,"event":"flow","id":1,"name":"a.example.org","address":"203.0.113.10","port":443,'
  .. '"verdict":"allow","rule":"p.lua:18","watch":true,"open":true}'
local failed = '{"time":1763940001.5,"event":"flow","id":2,"name":"b.example.org","address":"203.0.113.11","port":22,'
  .. '"protocol":"tcp","verdict":"allow","rule":"p.lua:20","up":0,"down":0,"seconds":0.1,"outcome":"refused"}'
local denied = '{"time":1763940002.0,"event":"dns","name":"evil.example","type":"A","verdict":"deny","rule":"p.lua:23",'
  .. '"reason":"no row allows it","count":3}'
local packet = '{"time":1763940003.0,"event":"packet","address":"203.0.113.99","port":443,"protocol":"udp","verdict":"deny",'
  .. '"reason":"only TCP and DNS leave the sandbox"}'

local warning = '{"time":1763940004.0,"event":"warning","name":"a.example.org","address":"203.0.113.10","port":443,'
  .. '"verdict":"allow","rule":"p.lua:30","reason":"much is going out"}'

describe("flows", function()
  before_each(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(core.sys.mkdir(directory, 448))
  end)
  after_each(function() core.sys.remove_tree(directory) end)

  it("come to hosts, what each got, and a sentence", function()
    local sum = flows.summary(write { opened, allowed, allowed, failed, denied, denied, packet })
    assert.equal(4, sum.hosts)
    assert.equal(2, sum.denied)
    assert.equal(0, sum.uncounted)
    assert.equal(2000, sum.up)
    assert.equal("4 hosts, 2.0 KB up, 4.0 MB down, 2 denied: evil.example (no row allows it, p.lua:23); "
      .. "203.0.113.99:443/udp (only TCP and DNS leave the sandbox)", sum.sentence)
    local by = {}
    for _, host in ipairs(sum.by_host) do by[host.host] = host end
    assert.same({ host = "a.example.org", connections = 2, failed = 0, denied = 0, up = 2000, down = 4194304 },
      by["a.example.org"])
    assert.equal(1, by["b.example.org"].failed)
    assert.equal(6, by["evil.example"].denied)
    assert.equal("p.lua:23", by["evil.example"].rule)
    assert.equal("203.0.113.99", sum.by_host[1].host)
    assert.equal("a.example.org", sum.by_host[3].host)
  end)

  it("count what on.connect warned of beside the connections", function()
    local sum = flows.summary(write { allowed, warning })
    assert.equal(1, sum.warnings)
    assert.equal(1, sum.by_host[1].connections)
    assert.equal("1 host, 1000 B up, 2.0 MB down, 1 warning", sum.sentence)
  end)

  it("are no summary where nothing was asked for", function()
    assert.is_nil(flows.summary(directory .. "/none"))
    assert.is_nil(flows.summary(write {}))
  end)

  it("are not all looked into when there are very many, and that is said", function()
    local lines = {}
    for i = 1, 100007 do lines[i] = denied end
    local sum = flows.summary(write(lines))
    assert.equal(7, sum.uncounted)
    assert.equal(300000, sum.by_host[1].denied)
    assert.truthy(sum.sentence:find(", and 7 flows more that are not in these numbers", 1, true), sum.sentence)
  end)

  it("name three refused hosts and count the others", function()
    local lines = {}
    for i = 1, 5 do lines[i] = (denied:gsub("evil", "evil" .. i)) end
    local sentence = flows.summary(write(lines)).sentence
    assert.truthy(sentence:find("5 denied: evil1.example", 1, true))
    assert.truthy(sentence:find("evil3.example (no row allows it, p.lua:23); and 2 more", 1, true))
    assert.is_nil(sentence:find("evil4", 1, true))
  end)

  it("of a gateway that lies hurt nobody", function()
    local path = write { "", "{", "[]", "nonsense", '{"event":"flow"}', '{"verdict":"deny","event":5}',
      '{"event":"flow","verdict":"deny","name":{"a":1},"count":"many","up":"x","rule":[1]}', ("x"):rep(70000),
      ('{"event":"flow","verdict":"deny","name":"%s"}'):format(("y"):rep(70000)),
      '{"event":"flow","verdict":"allow","name":"\\u001b[31mred","up":1e300,"time":1e300,"port":1e300}', allowed }
    local reader = assert(flows.open(path))
    local found = {}
    for flow in function() return (reader:next()) end do found[#found + 1] = flow end
    assert.equal(3, #found)
    assert.equal(8, reader.unread)
    reader:close()
    assert.is_nil(found[1].name)
    assert.is_nil(found[1].count)
    for _, flow in ipairs(found) do assert.is_nil(cli.line(flow):gsub("\n$", ""):find("%c")) end
    assert.truthy(cli.line(found[2]):find("red", 1, true))
    assert.is_table(flows.summary(path))
  end)

  it("don't fill the memory with a tenant's names", function()
    local handle = assert(io.open(directory .. "/flows.jsonl", "wb"))
    for i = 1, 10100 do handle:write((denied:gsub("evil", "e" .. i)), "\n") end
    handle:close()
    local sum = flows.summary(directory .. "/flows.jsonl")
    assert.equal(500, #sum.by_host)
    assert.truthy(sum.hosts > 10000)
  end)

  it("are found when they are appended, and only whole", function()
    local path = write { allowed }
    local reader = assert(flows.open(path))
    assert.equal("a.example.org", reader:next().name)
    assert.is_nil(reader:next())
    local handle = io.open(path, "ab")
    handle:write(denied:sub(1, 40))
    handle:flush()
    assert.is_nil(reader:next())
    handle:write(denied:sub(41), "\n")
    handle:close()
    assert.equal("evil.example", reader:next().name)
    reader:close()
  end)

  it("are lines for people", function()
    local path = write { allowed, denied, packet, opened, failed, warning }
    local reader = assert(flows.open(path))
    local lines = {}
    for flow in function() return (reader:next()) end do lines[#lines + 1] = cli.line(flow):gsub("%s+", " ") end
    reader:close()
    assert.same({
      "23:20:00.123 install allow a.example.org:443 203.0.113.10 1000 B 2.0 MB p.lua:18 ",
      "23:20:02.000 deny evil.example DNS A, no row allows it, p.lua:23 (3 times) ",
      "23:20:03.000 deny 203.0.113.99:443/udp 203.0.113.99 only TCP and DNS leave the sandbox ",
      "23:20:00.000 allow a.example.org:443 203.0.113.10 opened, p.lua:18 ",
      "23:20:01.500 allow b.example.org:22 203.0.113.11 0 B 0 B refused, p.lua:20 ",
      "23:20:04.000 allow a.example.org:443 203.0.113.10 warning, much is going out, p.lua:30 ",
    }, lines)
  end)
end)

describe("moonbox flows", function()
  local tasks = require "moonbox.task"
  local state

  before_each(function()
    state = os.tmpname()
    os.remove(state)
    assert(core.sys.mkdir(state, 448))
  end)
  after_each(function() core.sys.remove_tree(state) end)

  local function flows_of(arguments)
    local pipe = io.popen(("MOONBOX_STATE=%s build/moonbox flows %s 2>&1; echo code $?"):format(state, arguments))
    local text = pipe:read "*a"
    pipe:close()
    return tonumber(text:match("code (%d+)\n$")), (text:gsub("code %d+\n$", ""))
  end

  local function task(lines)
    local one = assert(tasks.create(state))
    if lines then
      local handle = assert(io.open(one:file "flows.jsonl", "wb"))
      handle:write(table.concat(lines, "\n"), "\n")
      handle:close()
    end
    return one
  end

  it("shows the flows of a task, all or some", function()
    local one = task { allowed, denied, packet, failed }
    one:finish()
    local code, text = flows_of(one.id)
    assert.equal(0, code)
    assert.equal(5, select(2, text:gsub("\n", "")))
    assert.truthy(text:match("^TIME"))
    code, text = flows_of("--denied last")
    assert.equal(0, code)
    assert.equal(3, select(2, text:gsub("\n", "")))
    code, text = flows_of("--json --host '*.example.org' last")
    assert.equal(0, code)
    assert.equal(allowed .. "\n" .. failed .. "\n", text)
    code, text = flows_of("--json --host 203.0.113.0/24 --denied last")
    assert.equal(0, code)
    assert.equal(packet .. "\n", text)
    code, text = flows_of("--json --host evil.example:443 last")
    assert.equal(0, code)
    assert.equal("", text)
    code, text = flows_of("--host none.example last")
    assert.equal(0, code)
    assert.equal("moonbox: no flow is like that\n", text)
  end)

  it("follows a task to its end", function()
    local one = task { allowed }
    local pipe = io.popen(("MOONBOX_STATE=%s timeout 20 build/moonbox flows --json -f last; echo code $?"):format(state))
    assert.equal(allowed, pipe:read "*l")
    local handle = assert(io.open(one:file "flows.jsonl", "ab"))
    handle:write(denied, "\n")
    handle:close()
    assert.equal(denied, pipe:read "*l")
    one:finish()
    assert.equal("code 0", pipe:read "*l")
    pipe:close()
  end)

  it("says what is wrong", function()
    for arguments, expected in pairs { ["last"] = "there is no task yet", ["../x"] = "is no task's id",
      ["20250131-235959-0a1b2c"] = "there is no task", [""] = "needs one task", ["--hots x last"] = "did you mean `--host`",
      ["--host '*' last"] = "every name", ["a b"] = "needs one task" } do
      local code, text = flows_of(arguments)
      assert.equal(64, code)
      assert.truthy(text:find(expected, 1, true), text)
    end
    local one = task()
    one:finish()
    local code, text = flows_of("last")
    assert.equal(69, code)
    assert.truthy(text:find("no flows", 1, true))
  end)
end)
