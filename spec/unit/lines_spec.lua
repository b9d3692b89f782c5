local lines = require "moonbox.lines"

local source = [==[
-- comment { with = 1 } [[ not long
--[[ long
comment { x = 1 } ]]
local helper = { a = { b = 2 } }
return policy "x" {
  about = "a string with { braces = 1 } -- and dashes",
  text = [[
    long { string = 1 }
  ]],
  files = {
    read_only {
      "/usr",
      "/etc",
    }, storage = "disk",
  },
  limits = { cpus = 4,
    memory = 16 * GB },
  ["env"] = { ["A B"] = "c" },
  on = {
    connect = function (flow)
      local t = { inner = 1 }
      if flow then for i = 1, 2 do t.x = i end end
      repeat local u = { y = 2 } until u
      return t
    end,
    usage = function () end,
  },
}
]==]

describe("lines of keys", function()
  local find = lines.read(source)
  local node = find("policy", 5)

  it("are found through braces", function()
    assert.equal(6, node.keys.about.line)
    assert.equal(16, node.keys.limits.line)
    assert.equal(16, node.keys.limits.node.keys.cpus.line)
    assert.equal(17, node.keys.limits.node.keys.memory.line)
    assert.equal(18, node.keys.env.node.keys["A B"].line)
    assert.equal(14, node.keys.files.node.keys.storage.line)
    assert.equal(26, node.keys.on.node.keys.usage.line)
  end)

  it("are told for items", function()
    assert.same({ 12, 13 }, find("read_only", 11).items)
    assert.same({ 11 }, node.keys.files.node.items)
  end)

  it("are not taken from comments, strings or functions", function()
    assert.is_nil(node.keys.braces)
    assert.is_nil(node.keys.string)
    assert.is_nil(node.keys.x)
    assert.is_nil(node.keys.on.node.keys.inner)
    assert.is_nil(node.keys.on.node.keys.y)
    assert.is_nil(find("policy", 1))
  end)
end)

describe("the field `do`", function()
  it("is respelled on its line, and only where it names a field", function()
    assert.equal('return { ["do"] = function() end }', lines.respell("return { do = function() end }"))
    assert.equal('{ run = 1,\n["do"]\n= f }', lines.respell("{ run = 1,\ndo\n= f }"))
    assert.equal('{ a; ["do"]=f }', lines.respell("{ a; do=f }"))
    for _, text in ipairs { "while x do y = 1 end", "do x = 1 end", '"{ do = 1"', "-- { do = 1",
      "[[ {do = 1 ]]",
      "for i = 1, 2 do t = {} end" } do
      assert.equal(text, lines.respell(text))
    end
  end)
end)
