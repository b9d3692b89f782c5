-- What is brought back is there in full, or not at all.
local limited = require "support.file_limit"
local runs = require "support.runs"

local bring = require "moonbox.bring"

describe("output that is brought back", function()
  local folder
  before_each(function() folder = runs.folder() end)
  after_each(function() runs.remove(folder) end)

  -- As box:exec: `parts` are what the command writes.
  local function command(parts, outcome, message)
    return function(spec)
      assert.equal(0, spec.keep)
      for _, part in ipairs(parts) do spec.on_output(part[1], part[2]) end
      return outcome, message
    end
  end

  local function file() return runs.read(folder .. "/file") end

  it("is the command's stdout (control)", function()
    local parts, ended = { { "stdout", "one" }, { "stderr", "!" }, { "stdout", ("x"):rep(997) } }, { code = 0 }
    assert.same({ 1000, ended }, { bring.output(command(parts, ended), {}, folder .. "/file", 1000) })
    assert.equal("one" .. ("x"):rep(997), file())
    assert.is_nil((bring.output(command(parts, ended), {}, folder .. "/none/file", 1000)))
  end)

  it("is nothing when it is more than may be", function()
    local parts = { { "stdout", ("x"):rep(2 ^ 20) }, { "stdout", "x" }, { "stdout", "y" } }
    assert.same({ nil, "it is larger than 1 MB" }, { bring.output(command(parts, { code = 0 }), {}, folder .. "/file", 2 ^ 20) })
    assert.is_nil(file())
  end)

  it("is nothing when the command failed", function()
    local parts = { { "stdout", "half" } }
    assert.same({ nil, "why" }, { bring.output(command(parts, nil, "why"), {}, folder .. "/file", 1000) })
    assert.is_nil(file())
  end)

  it("is nothing when it could not be written", function()
    local parts = { { "stdout", ("x"):rep(3000) }, { "stdout", ("x"):rep(3000) }, { "stdout", "end" } }
    local got = limited(4096, function()
      return { bring.output(command(parts, { code = 0 }), {}, folder .. "/file", 10000) }
    end)
    assert.same({ nil, "write " .. folder .. "/file: File too large" }, got)
    assert.is_nil(file())
  end)
end)
