-- luacheck: what `make check` holds Lua to. The words of policy files come from the vocabulary, so that a new word
-- needs no change here.
local vocabulary = require "lua.moonbox.vocabulary"

std = "luajit"
max_line_length = 120
max_cyclomatic_complexity = 25
-- Wrong on purpose: spec/unit/refuse_spec.lua reads them.
exclude_files = { "build/", "spec/refuse/" }

local function words(kind)
  return { read_globals = vocabulary.luacheck_globals(kind) }
end

files["policies/*.lua"] = words "policy"
files["policies/*/*.lua"] = words "group"
files["examples/*.lua"] = words "pipeline"
-- Scripts and messages are quoted whole.
files["spec/**/*.lua"] = { std = "+busted", max_line_length = 140 }
