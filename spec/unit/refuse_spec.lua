-- Every file of spec/refuse is wrong in one way; its first line says what is expected: FILE:LINE: sentence.
local language = require "spec.support.language"
local check = require "moonbox.cli.check"

local function files()
  local out = {}
  local pipe = io.popen("ls -1 spec/refuse")
  for name in pipe:lines() do out[#out + 1] = name end
  pipe:close()
  return out
end

local function expected(path)
  local handle = assert(io.open(path, "rb"))
  local line = handle:read("*l")
  handle:close()
  return assert(line:match("^%-%- expect: (.+)$") or line:match("^# expect: (.+)$"), path
    .. " expects nothing")
end

local function built()
  local handle = io.open("build/moonbox", "rb")
  if handle then handle:close() end
  return handle ~= nil
end

describe("a wrong file", function()
  local all = files()

  it("is one of at least twenty-five", function() assert.is_true(#all >= 25) end)

  for _, name in ipairs(all) do
    local path = "spec/refuse/" .. name
    local needs_core = name == "endless.lua" or name:match("%.ya?ml$")

    it(name .. " is told what is wrong first", function()
      if needs_core and not language.real then return pending("needs the compiled core") end
      local first = check.diagnostics(path)[1]
      assert.is_table(first, name .. " is accepted")
      assert.equal(expected(path), ("%s:%d: %s"):format(first.file:match("[^/]+$"), first.line, first.text))
    end)

    it(name .. " ends moonbox check with 65", function()
      if not built() then return pending("build/moonbox is not built") end
      local pipe = io.popen("build/moonbox check " .. path .. " 2>&1; echo \"code $?\"")
      local output = pipe:read("*a")
      pipe:close()
      assert.equal("65", output:match("code (%d+)%s*$"))
      assert.equal(expected(path), output:match("^spec/refuse/([^\n]*)\n"))
    end)
  end
end)
