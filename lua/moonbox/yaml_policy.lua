--- Policies written in YAML: the same words, made into the same rows, judged by the same checker.
--
--   policy: small
--   extends: base
--   files:
--     read_only: [/usr, /etc/ssl]
--     scratch: { paths: [/tmp], size: 1 GB }
--   network:
--     - deny: { names: [internal, "*.onion"], why: internal networks }
--     - allow: [ecosystem.npm, github.com]
--     - allow: { names: [docs.python.org], ports: [443] }
--   limits: { cpus: 4, memory: 16 GB, time: 4 hours }
--
-- `files` and `network` are a mapping, read in the order of the text, or a list of mappings with one word
-- each, for words that come more than once. A row with keys of its own names its list `paths`, `names` or
-- `ports`. Parameters are written as `needs: { name: text, level: { number: { default: 2 } } }`. Units are written
-- behind the number. Hooks are functions and need Lua.
local loader = require "moonbox.loader"
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local vocabulary = require "moonbox.vocabulary"

local M = {}

local modules = { ecosystem = true, forge = true, docs = true }

-- A plain (unquoted) scalar as the value that the same text would be in Lua.
local function plain_value(ctx, node)
  local text = node.text
  if text == "true" or text == "false" then return text == "true" end
  local number, sign, unit = text:match("^(%-?[%d.]+) *([*/]?) *(%a*)$")
  number = tonumber(number)
  if number and unit == "" and sign == "" then return number end
  local value = number and ctx.file.units(unit)
  if value then return sign == "/" and number / value or number * value end
  local amount, of, over = text:match("^([%d.]+) *(%a+) */ *(%a+)$")
  local size, time = ctx.file.units(of or ""), ctx.file.units(over or "")
  return tonumber(amount) and size and time and tonumber(amount) * size / time or text
end

local function scalar(ctx, node)
  if node.quoted then return node.text end
  if node.text == "" or node.text == "~" or node.text == "null" then
    ctx.session:report(ctx.file, node.line, "a value is missing here")
    return ctx.session.unknown
  end
  return plain_value(ctx, node)
end

local function key_of(ctx, pair, seen)
  local key = pair.key
  if key.kind ~= "scalar" then
    ctx.session:report(ctx.file, key.line, "a name is a word, not a " .. key.kind)
    return nil
  end
  if seen[key.text] then
    ctx.session:report(ctx.file, key.line, ("`%s` stands here twice, first on line %d")
      :format(say.plain(key.text),
      seen[key.text]))
    return nil
  end
  seen[key.text] = key.line
  return key.text
end

-- The Lua value of a node and its lines, in the form that moonbox.lines gives them.
local function value_of(ctx, node)
  if node.kind == "scalar" then return scalar(ctx, node), nil end
  local out, lines = {}, { line = node.line, keys = {}, items = {} }
  local seen = {}
  for i, child in ipairs(node) do
    if node.kind == "sequence" then
      out[i] = value_of(ctx, child)
      lines.items[i] = child.line
    else
      local key = key_of(ctx, child, seen)
      if key then
        local value, below = value_of(ctx, child.value)
        out[key], lines.keys[key] = value, { line = child.key.line, node = below }
      end
    end
  end
  return out, lines
end

local function with_group(ctx, item, line)
  local kind, name = nil, nil
  if type(item) == "string" then kind, name = item:match("^(%a+)%.([%w_-]+)$") end
  if not modules[kind] then return item end
  return ctx.session:group(ctx.file, line, kind, name)
end

local list_key = { files = "paths", network = "names", needs = "words" }

-- A row's token. Its list is the whole value, or stands under `paths`, `names` or `ports` beside its keys.
local function row_of(ctx, section, entry, node, line)
  local value, lines = value_of(ctx, node)
  local list = entry.word == "publish" and "ports" or list_key[section]
  local args, below = {}, { line = line, keys = {}, items = {} }
  if type(value) ~= "table" or node.kind ~= "mapping" then
    if node.kind == "scalar" then value, lines = { value }, { items = { node.line } } end
    args, below.items = value, lines.items
  else
    for key, item in pairs(value) do
      if key == list then
        local inner = lines.keys[key].node
        if inner and next(inner.keys) then
          ctx.session:report(ctx.file, lines.keys[key].line, ("`%s` is a list, [a, b], not a mapping"):format(key))
        end
        local items = type(item) == "table" and inner and item or { item }
        for i, one in ipairs(items) do
          args[i], below.items[i] = one, inner and inner.items[i] or lines.keys[key].line
        end
      else
        args[key], below.keys[key] = item, lines.keys[key]
      end
    end
  end
  for i, item in ipairs(section == "network" and args or {}) do
    args[i] = with_group(ctx, item, below.items[i] or line)
  end
  ctx.calls[entry.word .. ":" .. line] = ctx.calls[entry.word .. ":" .. line] or below
  return ctx.session:make(ctx.file, line, entry, nil, args)
end

local function row_entry(section, word)
  for _, entry in ipairs(vocabulary.find(word) or {}) do
    if entry.kind == "row" and entry.place == section and vocabulary.callable(word, "policy") then
      return entry
    end
  end
end

local function known_words(section)
  local out = {}
  for _, entry in ipairs(vocabulary.entries()) do
    if entry.place == section and (entry.kind == "row" or entry.kind == "key") then
      out[#out + 1] = entry.word
    end
  end
  return out
end

local function add_pair(ctx, section, pair, seen, out, lines)
  local word = key_of(ctx, pair, seen)
  local entry = word and row_entry(section, word)
  if entry then
    out[#out + 1] = row_of(ctx, section, entry, pair.value, pair.key.line)
    lines.items[#out] = pair.key.line
  elseif word and vocabulary.keys(section)[word] then
    local value, below = value_of(ctx, pair.value)
    out[word], lines.keys[word] = value, { line = pair.key.line, node = below }
  elseif word then
    ctx.session:report(ctx.file, pair.key.line, ("unknown word `%s` in `%s`%s")
      :format(say.plain(word), section,
      suggest.tail(word, known_words(section))))
  end
end

local function section_of(ctx, section, node)
  if node.kind == "scalar" then return value_of(ctx, node) end
  local out, lines, seen = {}, { line = node.line, keys = {}, items = {} }, {}
  for _, child in ipairs(node) do
    if node.kind == "mapping" then
      add_pair(ctx, section, child, seen, out, lines)
    elseif child.kind == "mapping" and #child == 1 then
      add_pair(ctx, section, child[1], {}, out, lines)
    else
      ctx.session:report(ctx.file, child.line, ("an item of `%s` is one word and its value, such as %s")
        :format(section,
        section == "files" and "- read_only: [/usr]" or "- allow: [github.com]"))
    end
  end
  return out, lines
end

-- The parameters: `name: text`, or `name: { text: { default: x } }`; the words of a choice stand under `words`.
local function needs_of(ctx, node)
  if node.kind ~= "mapping" then return value_of(ctx, node) end
  local out, lines, seen = {}, { line = node.line, keys = {}, items = {} }, {}
  for _, pair in ipairs(node) do
    local name, inner = key_of(ctx, pair, seen), pair.value
    local one = inner.kind == "mapping" and #inner == 1 and inner[1].key.kind == "scalar" and inner[1]
    local word = one and one.key.text or inner.kind == "scalar" and inner.text
    local entry = word and vocabulary.callable(word, "policy")
    if name and entry and entry.kind == "type" then
      local fields = one and one.value or { kind = "mapping", line = inner.line }
      out[name] = row_of(ctx, "needs", entry, fields, pair.key.line)
    elseif name then
      out[name] = value_of(ctx, inner)
    end
    if name then lines.keys[name] = { line = pair.key.line } end
  end
  return out, lines
end

local function policy_row(ctx, root)
  local args, lines, name, seen = {}, { line = root.line, keys = {}, items = {} }, nil, {}
  for _, pair in ipairs(root) do
    local key = key_of(ctx, pair, seen)
    if key == "policy" then
      name = pair.value.kind == "scalar" and pair.value.text
    elseif key == "on" then
      ctx.session:report(ctx.file, pair.key.line,
        "`on` holds functions; a policy with hooks is written in Lua")
    elseif key then
      local value, below
      if key == "needs" then
        value, below = needs_of(ctx, pair.value)
      elseif list_key[key] then
        value, below = section_of(ctx, key, pair.value)
      else
        value, below = value_of(ctx, pair.value)
      end
      args[key], lines.keys[key] = value, { line = pair.key.line, node = below }
    end
  end
  if not name or not name:match("^[%w][%w._-]*$") or #name > 64 then
    ctx.session:report(ctx.file, seen.policy or root.line,
      'a policy has a name, of letters, digits, ".", "_" and "-": policy: name')
    name = "?"
  end
  ctx.calls["policy:" .. root.line] = lines
  return ctx.session.rows[ctx.session:make(ctx.file, root.line, vocabulary.find("policy")[1], name, args)]
end

--- The row of the policy in the YAML file at `path` (or `text`), as Session:load gives it for Lua; nil after
-- having reported why.
function M.load(session, path, label, text)
  local file = session:new_file(path, label, "policy")
  local message
  if not text then text, message = loader.read(path) end
  if not text then return session:report(file, 1, message) end
  local root, why = require("moonbox.core").yaml.parse(text)
  if not root then
    local line, sentence = why:match("^line (%d+): (.*)$")
    return session:report(file, tonumber(line) or 1, sentence or why)
  end
  if root.kind ~= "mapping" then
    return session:report(file, root.line, "a policy in YAML is a mapping that starts with policy: NAME")
  end
  local ctx = { session = session, file = file, calls = {} }
  file.find = function(word, line) return ctx.calls[word .. ":" .. line] end
  return policy_row(ctx, root)
end

return M
