-- embed.lua: at build time, turns Lua modules into one C file of bytecode.
--
--   luajit lua/embed.lua OUT.c lua/moonbox/main.lua ...
--
-- Bytecode keeps its line numbers, so that errors name them; chunk names are paths in the checkout.

local out_path = table.remove(arg, 1)
local out = assert(io.open(out_path, "wb"))

local function module_name(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function c_bytes(code)
  local lines = {}
  for at = 1, #code, 20 do
    lines[#lines + 1] = table.concat({ code:byte(at, at + 19) }, ",")
  end
  return table.concat(lines, ",\n")
end

out:write('#include "core/modules.h"\n\n')
local index = {}
for i, path in ipairs(arg) do
  local file = assert(io.open(path, "rb"))
  local source = file:read("*a")
  file:close()
  local code = string.dump(assert(loadstring(source, "@" .. path)))
  out:write(("static const unsigned char code_%d[] = {\n%s};\n\n"):format(i, c_bytes(code)))
  index[#index + 1] = ('    {"%s", code_%d, sizeof code_%d},\n'):format(module_name(path), i, i)
end
out:write("const struct embedded_module embedded_modules[] = {\n", table.concat(index), "    {0, 0, 0},\n};\n")
out:close()
