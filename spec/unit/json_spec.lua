local json = require "moonbox.json"

describe("JSON", function()
  it("is the same bytes for the same data", function()
    assert.equal('{"a":[1,2.5,"x"],"b":{"c":true},"d":null}',
      json.encode { d = json.null, b = { c = true }, a = { 1, 2.5, "x" } })
    assert.equal('{\n  "a": [\n    1\n  ],\n  "b": []\n}',
      json.encode({ b = json.array {}, a = { 1 } }, { pretty = true }))
  end)

  it("tells empty arrays from empty objects by their mark", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("{}", json.encode(json.object {}))
  end)

  it("escapes what a terminal or a script would read", function()
    assert.equal([["\u0000\u001b\"\\\n\u007f"]], json.encode("\0\27\"\\\n\127"))
  end)

  it("writes whole numbers whole and others exactly", function()
    assert.equal("53687091200", json.encode(50 * 2 ^ 30))
    assert.equal(0.1, json.decode(json.encode(0.1)))
    assert.equal(2 ^ 60, json.decode(json.encode(2 ^ 60)))
    assert.equal("-3", json.encode(-3))
  end)

  it("refuses to encode what has no JSON", function()
    local cycle = {}
    cycle.self = cycle
    for _, case in ipairs {
      { 0 / 0, "finite" }, { math.huge, "finite" }, { print, "function" }, { cycle, "itself" },
      { { 1, nil, 3 }, "holes" }, { { 1, a = 2 }, "positions and names" },
      { { [true] = 1 }, "not a boolean" },
    } do
      local ok, message = pcall(json.encode, case[1])
      assert.is_false(ok)
      assert.truthy(message:find(case[2], 1, true), message)
    end
    local deep = {}
    for _ = 1, 100 do deep = { deep } end
    assert.is_false(pcall(json.encode, deep))
  end)

  it("decodes what it encodes", function()
    local data = { a = { 1, 2, { b = "ü\n" } }, empty = json.array {}, none = json.object {}, t = true,
      n = -1.5e-7 }
    assert.same(data, json.decode(json.encode(data)))
  end)

  it("decodes the whole grammar", function()
    assert.same({ 1, -0.5, 1e3, "aé😀", false, json.null },
      json.decode(' [1, -0.5 ,1E+3, "a\\u00e9\\ud83d\\ude00", false , null ] '))
    assert.equal("[]", json.encode(json.decode("[]")))
    assert.equal("{}", json.encode(json.decode("{}")))
  end)

  it("refuses what is not JSON", function()
    for _, text in ipairs { "", " ", "[1,]", "[1 2]", "{a:1}", "{'a':1}", '{"a":1,}', '{"a":1,"a":2}', "01",
      "1.", ".5",
      "+1", "1e", "NaN", "Infinity", "1e999", '"\t"', '"\\x"', '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"',
      '"a',
      "nul", "true false", "[1]x", ("["):rep(100) .. ("]"):rep(100), "\239\187\191{}" } do
      local value, why = json.decode(text)
      assert.is_nil(value, text)
      assert.is_string(why, text)
    end
  end)

  it("says the line", function()
    local _, why = json.decode('{\n"a": 1,\n"b": x\n}')
    assert.equal("line 3: something that is no JSON value", why)
  end)
end)
