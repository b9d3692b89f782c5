-- What a policy file can reach and what it can cost (security probes 108 to 112).
local language = require "spec.support.language"
local vocabulary = require "moonbox.vocabulary"
local loader = require "moonbox.loader"
local policy = require "moonbox.policy"

-- Evaluates in this process, as the worker does: the session and the container's row.
local function evaluate(text, kind)
  local session = policy.session()
  local row = session:load(language.file(text), "x.lua", kind or "policy")
  local told = {}
  for i, d in ipairs(session:sorted()) do told[i] = d.line .. ": " .. d.text end
  return session, row, table.concat(told, "\n")
end

-- What `expression` is worth inside a policy file, as seen from outside.
local function worth(expression)
  local _, row, told = evaluate('return policy "x" { value = ' .. expression .. " }")
  return row and row.args.value, told
end

describe("bytecode", function()
  after_each(language.clean)

  it("108: is refused as a policy, a base, a group and a pipeline", function()
    local code = string.dump(loadstring('return policy "x" {}'))
    assert.equal("\27LJ", code:sub(1, 3))
    local sentence = "is compiled Lua (bytecode); moonbox reads Lua text only"
    for _, kind in ipairs { "policy", "group", "pipeline" } do
      local _, row, told = evaluate(code, kind)
      assert.is_nil(row)
      assert.equal("1: " .. sentence, told)
    end
    local data, told = language.policy(code)
    assert.is_nil(data)
    assert.equal("1: " .. sentence, told)
    local path = language.file(code)
    data, told = language.policy(('return policy "x" { extends = "%s" }'):format(path))
    assert.is_nil(data)
    assert.truthy(told:find(sentence, 1, true))
    data, told = language.pipeline(code)
    assert.is_nil(data)
    assert.equal("1: " .. sentence, told)
  end)

  it("108: is refused with anything in front that Lua skips", function()
    local code = string.dump(loadstring("return 1"))
    for _, before in ipairs { "#!/x\n", "\239\187\191" } do
      local _, row = evaluate(before .. code)
      assert.is_nil(row)
    end
  end)

  it("108: can't be made from inside", function()
    assert.is_nil((worth("string.dump")))
    assert.is_nil((worth('("x").dump')))
    assert.is_nil((worth("string.dump or (\"\").dump")))
    assert.is_nil(("x").dump)
  end)
end)

describe("the environment of a policy", function()
  after_each(language.clean)

  local allowed = { string = "byte char find format gmatch gsub len lower match rep reverse sub upper",
    table = "concat insert maxn remove sort",
    math = "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min"
      .. " modf pi pow rad sin sinh sqrt tan tanh" }

  for _, kind in ipairs { "policy", "group", "pipeline" } do
    it("109: holds the vocabulary's words and nothing else in " .. kind .. " files", function()
      local candidates = { _G = true, _VERSION = true, _ENV = true }
      for name in pairs(_G) do candidates[name] = true end
      for _, entry in ipairs(vocabulary.entries()) do candidates[entry.word] = true end
      for name in ("ffi jit bit package utf8 new buffer self arg M loader session"):gmatch("%S+") do
        candidates[name] = true
      end
      local want = {}
      for _, name in ipairs(vocabulary.luacheck_globals(kind)) do want[name] = true end
      for name in pairs(candidates) do
        if loadstring("local " .. name) then
          local session, _, told = evaluate("local x = " .. name, kind)
          local refused = told:find("unknown word", 1, true) or told:find("not there", 1, true)
            or told:find("is a word of", 1, true)
          assert.equal(want[name] or false, not refused, name .. " in " .. kind .. ": " .. told)
          assert.is_table(session)
        end
      end
    end)
  end

  it("109: reaches nothing but the allowlist, walked to its end", function()
    local session, row = evaluate([[
      local found = {}
      local words = { ]] .. table.concat(vocabulary.luacheck_globals("policy"), ", ") .. [[ }
      return policy "x" { words = words, error = error, text = "" }
    ]])
    local names = vocabulary.luacheck_globals("policy")
    local forbidden = {}
    for _, value in ipairs { os, io, package, debug, coroutine, require, load, loadstring, dofile, loadfile,
      pcall, xpcall,
      getfenv, setfenv, getmetatable, setmetatable, rawget, rawset, rawequal, print, collectgarbage,
      newproxy, module,
      string, table, math, _G, string.dump, math.random, math.randomseed, io.open, os.execute, tostring,
      string.format,
      jit, require "ffi", require "bit", vocabulary, loader, session, policy, package.loaded } do
      forbidden[value] = true
    end
    local seen, count = {}, 0
    local function walk(value, path)
      assert.is_nil(forbidden[value], path)
      if type(value) ~= "table" or seen[value] then return end
      seen[value] = true
      for k, v in next, value do
        count = count + 1
        walk(k, path .. " key")
        walk(v, path .. "." .. tostring(k))
      end
    end
    for i, word in ipairs(row.args.words) do
      walk(word, names[i])
      if allowed[names[i]] then
        local have = {}
        for name in pairs(word) do have[#have + 1] = name end
        table.sort(have)
        local want = {}
        for name in allowed[names[i]]:gmatch("%S+") do want[#want + 1] = name end
        table.sort(want)
        assert.same(want, have)
      end
    end
    assert.is_true(count > 40)
    for name, member in pairs(getmetatable("").__index) do
      assert.truthy(allowed.string:find(name, 1, true), name)
      assert.is_nil(forbidden[member], name)
    end
  end)

  it("110: has words that take part in nothing by their metatables", function()
    for _, expression in ipairs { "GB", "ecosystem", "read_only { '/usr' }", "allow {}", "ecosystem.npm" } do
      local value = worth(expression)
      if type(value) == "table" then
        local meta = getmetatable(value)
        assert.is_true(meta == nil or meta == false, expression)
      end
    end
  end)

  it("109: prints no addresses", function()
    for _, expression in ipairs { "tostring({})", "tostring(pairs)", "tostring(allow)", "tostring(ecosystem)",
      'string.format("%s", {})', '("%s %s"):format({}, pairs)', "tostring(GB)", "tostring(1LL)",
      'tostring(read_only { "/usr" })' } do
      local value, told = worth(expression)
      assert.is_string(value, expression .. " " .. told)
      assert.is_nil(value:find("0x", 1, true), expression .. " is " .. value)
      assert.is_nil(value:find("builtin", 1, true), expression .. " is " .. value)
    end
    for _, expression in ipairs { 'string.format("%p", {})', '("%5p"):format({})',
      'string.format("%%%p", {})' } do
      local _, told = worth(expression)
      assert.truthy(told:find("would print an address", 1, true), expression .. told)
    end
    assert.equal("%p", (worth('string.format("%%p")')))
  end)

  it("110: is each file's own: nothing that a file changes is seen by the next or by moonbox", function()
    local upper, insert, floor = string.upper, table.insert, math.floor
    local _, row, told = evaluate([[
      string.upper, table.insert, math.floor = nil, nil, nil
      string.evil, table.evil, math.evil = 1, 1, 1
      for k in pairs(string) do string[k] = nil end
      return policy "x" {}
    ]])
    assert.is_table(row, told)
    assert.equal(upper, string.upper)
    assert.equal(insert, table.insert)
    assert.equal(floor, math.floor)
    assert.is_nil(rawget(string, "evil"))
    assert.equal("X", ("x"):upper())
    assert.equal("X", (worth('string.upper("x")')))
    assert.equal("X", (worth('("x"):upper()')))
    local _, _, changed = evaluate('("x").upper = 1; return policy "x" {}')
    assert.not_equal("", changed)
    assert.equal("X", ("x"):upper())
  end)

  it("110: keeps rows out of the file's reach", function()
    local data = language.policy([[
      local row = read_write { "/workspace" }
      row.paths, row.word, row.line, row[1] = { "/etc" }, "bind", 99, "/etc"
      local list = { "/usr" }
      local shown = read_only(list)
      return policy "x" { files = { row, shown } }
    ]])
    assert.same({ "/workspace" }, data.files.rows[1].paths)
    assert.equal("read_write", data.files.rows[1].word)
    assert.equal(1, data.files.rows[1].line)
  end)
end)

describe("what a file returns or throws", function()
  after_each(language.clean)

  it("112: is taken only when it is what the kind returns", function()
    for text, sentence in pairs {
      [""] = "is empty", ["-- x"] = "returns nothing; it must end with", ["return nil"] = "returns nothing",
      ["return 0/0"] = "returns the number",
      ["return {}"] = "returns a table", ['return "x"'] = "returns the text",
      ["return true"] = "returns true",
      ["return function() end"] = "returns a function", ["return GB"] = "returns a size",
      ['return read_only { "/usr" }'] = "returns a read_only",
      ["local t = {} t.t = t return t"] = "returns a table",
      ["return 1LL"] = "returns a cdata", ['return policy "x"'] = "returns a function",
      ['return ("x"):rep(1e6)'] = "returns the text",
      ["error {}"] = "raised a table", ["error(nil)"] = "raised nothing", ["error(4)"] = "4",
      ["error(GB)"] = "raised a size",
      ['error "no"'] = "no", ["assert(false)"] = "assertion failed!",
      ["local x = nil + 1"] = "attempt to perform arithmetic",
    } do
      local data, told = language.policy(text)
      assert.is_nil(data, text)
      assert.truthy(told:find(sentence, 1, true), text .. " -> " .. told)
      assert.is_true(#told < 400, text)
    end
  end)

  it("112: may hold cycles and wrong types without harm", function()
    for _, body in ipairs { "files = t", "limits = t", "network = t", "process = t", "env = t", "on = t",
      "files = { t }", "files = { read_only(t) }", "network = { allow(t) }", "limits = { memory = t }",
      "env = { A = t }", "process = { capabilities = t }", "limits = { hold = t }", "about = t",
      "network = { hosts = t }",
      "files = 0/0", "limits = { cpus = 0/0 }", "[t] = 1", "[1] = t", "[0/1] = 1",
      "network = { allow { t } }",
      "limits = { memory = 1LL }", "limits = allow {}", "files = GB", "env = { [1] = 'x' }",
      "env = { [true] = 'x' }" } do
      local data, told = language.policy("local t = {} t.t = t t[1] = t\nreturn policy 'x' { " .. body
        .. " }")
      assert.is_nil(data, body)
      assert.truthy(told:match("^2: "), body .. " -> " .. told)
    end
  end)

  it("112: is always the same for the same file", function()
    local path = language.file([[
      local t = {}
      for i = 1, 50 do t["KEY" .. i] = tostring(i) end
      return policy "x" { extends = "base", env = t, network = { allow { ecosystem.npm } } }
    ]])
    local json = require "moonbox.json"
    local first = json.encode((policy.load(path)))
    for _ = 1, 200 do assert.equal(first, json.encode((policy.load(path)))) end
    local wrong = language.file(
      'return policy "x" { limits = { a = 1, b = 2, c = 3 }, env = { ["1"] = "", ["2"] = "" } }')
    local _, told = language.told(policy.load(wrong))
    for _ = 1, 200 do assert.equal(told, (select(2, language.told(policy.load(wrong))))) end
  end)

  it("112: is bounded in what it can say", function()
    local data, told = language.policy([[
      for i = 1, 10000 do local x = _G["unknown" .. i] end
      local t = {}
      for i = 1, 10000 do t[i] = "relative" .. i end
      return policy "x" { files = { read_only(t) }, about = ("x"):rep(100000) }
    ]])
    assert.is_nil(data)
    assert.is_true(select(2, told:gsub("\n", "")) < 101)
  end)

  it("112: is read from files of a sensible size only", function()
    local data, told = language.policy("-- " .. ("x"):rep(1024 * 1024) .. '\nreturn policy "x" {}')
    assert.is_nil(data)
    assert.equal("1: is longer than 1 MB", told)
    assert.equal("1: can't be read: No such file or directory",
      (select(2, language.told(policy.load("/nonexistent/x.lua")))))
    assert.truthy((select(2, language.told(policy.load("/etc/"))):match("^1: can't be read")))
  end)
end)

describe("a file that costs too much", function()
  after_each(language.clean)

  local bombs = {
    ["an endless loop"] = { "while true do end", "still running after 2 s" },
    ["a loop that would be compiled"] = { "local n = 0 for i = 1, 1e15 do n = n + i % 7 end",
    "still running after 2 s" },
    ["a tail recursion"] = { "local function f() return f() end f()", "still running after 2 s" },
    ["a pattern that backtracks"] = { '("a"):rep(60):find(("a*"):rep(60) .. "b")',
    "still running after 2 s" },
    ["a text without end"] = { 'local s = "x" while true do s = s .. s end', "64 MB" },
    ["a repeated text"] = { 'local s = ("x"):rep(2^30) return policy "x" { about = s }', "64 MB" },
    ["a table without end"] = { "local t = {} for i = 1, 1e12 do t[i] = { i } end", "64 MB" },
    ["a recursion through C"] = { 'local function f() return (("x"):gsub(".", f)) end f()', "64 MB" },
    ["a list of rows without end"] = { "local t = {} for i = 1, 1e12 do t[i] = allow { 'x.org' } end",
    "64 MB" },
  }
  for name, bomb in pairs(bombs) do
    it("111: such as " .. name .. " is given up", function()
      if not language.real then return pending("needs the compiled core") end
      local data, told = language.policy(bomb[1])
      assert.is_nil(data)
      assert.truthy(told:find(bomb[2], 1, true), told)
    end)
  end

  it("111: such as a recursion without end is told its line", function()
    local data, told = language.policy("local function f() return 1 + f() end\nf()")
    assert.is_nil(data)
    assert.truthy(told:find("stack overflow", 1, true), told)
  end)

  it("111: can't swallow its own end", function()
    for _, name in ipairs { "pcall", "xpcall", "coroutine" } do
      local data, told = language.policy(name .. "(function() end)")
      assert.is_nil(data)
      assert.truthy(told:find("`" .. name .. "` is not there in policy files", 1, true), told)
    end
  end)
end)

describe("an unknown word", function()
  after_each(language.clean)

  it("does not hide the mistakes after it", function()
    local _, told = language.policy([[
      local a = wrong.thing(1) + 2 .. "x"
      wrong.x = 1
      return policy "x" {
        files = { read_olny { "/usr" }, read_only { "usr" } },
        limits = { memory = 4 * GiBB, cpus = -1 },
      }
    ]])
    assert.equal(table.concat({
      "1: unknown word `wrong`", "2: unknown word `wrong`",
      "4: unknown word `read_olny`; did you mean `read_only`?",
      '4: "usr" is not absolute; it starts with /', "5: unknown word `GiBB`; did you mean `GiB`?",
      "5: `cpus` is at least 0.01, not -1" }, "\n"), told)
  end)
end)

describe("a line", function()
  after_each(language.clean)

  it("is the row's, also through helpers and tail calls", function()
    local data = assert(language.policy([[
      local function host(name)
        return allow { name }
      end
      return policy "x" {
        network = {
          host "a.org",
          allow {
            "b.org",
          },
        },
      }
    ]]))
    assert.equal(6, data.network.rows[1].line)
    assert.equal(7, data.network.rows[2].line)
    assert.equal(4, data.line)
  end)
end)
