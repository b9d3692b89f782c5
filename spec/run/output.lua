--- How busted reports: one line a file, the running test on a terminal, each failure with its place and message, and
-- the counts as a line of $MOONBOX_RESULTS. The file's name comes as -Xoutput.
local busted = require "busted"
local handler = require "busted.outputHandlers.base"()

local SLOW_SECONDS, NAME_COLUMNS = 5, 100

local terminal = os.execute("test -t 1") == 0

local function clear()
  if terminal then io.write("\r\27[K") end
end

local function place(failure)
  local trace = failure.trace or failure.element.trace
  return trace and trace.short_src and ("%s:%d"):format(trace.short_src, trace.currentline) or "?"
end

local function message(failure)
  local text = failure.message
  if type(text) ~= "string" then
    text = text == nil and "no message" or require("pl.pretty").write(text)
  end
  if failure.isError and failure.trace and failure.trace.traceback then text = text .. failure.trace.traceback end
  return (text:gsub("\n", "\n    "))
end

local function print_failures(list)
  for _, failure in ipairs(list) do
    io.write(("FAILED %s: %s\n    %s\n"):format(place(failure), failure.name, message(failure)))
  end
end

local function print_file(file, passed, failed, skipped, seconds)
  local counts = ("%4d passed"):format(passed)
  if failed > 0 then counts = counts .. (", %d FAILED"):format(failed) end
  if skipped > 0 then counts = counts .. (", %d skipped"):format(skipped) end
  io.write(("  %-36s %s  %.1f s%s\n"):format(file, counts, seconds, seconds > SLOW_SECONDS and ", slow" or ""))
  for _, pending in ipairs(handler.pendings) do
    io.write(("    skipped: %s: %s\n"):format(pending.name, tostring(pending.message or "no reason given"):gsub("^%S+:%d+: ", "")))
  end
  print_failures(handler.failures)
  print_failures(handler.errors)
  io.flush()
end

local function note(...)
  local results = os.getenv("MOONBOX_RESULTS")
  if not results or results == "" then return end
  local handle = assert(io.open(results, "a"))
  handle:write(("%s %d %d %d %.1f\n"):format(...))
  handle:close()
end

local function start_test(element)
  if terminal then
    clear()
    io.write("  ", handler.getFullName(element):sub(1, NAME_COLUMNS))
    io.flush()
  end
  return nil, true
end

local function end_suite(file)
  local passed, skipped = handler.successesCount, handler.pendingsCount
  local failed = handler.failuresCount + handler.errorsCount
  -- A file in which nothing ran is broken.
  if passed + failed + skipped == 0 then failed = 1 end
  clear()
  print_file(file, passed, failed, skipped, handler.getDuration())
  note(file, passed, failed, skipped, handler.getDuration())
  return nil, true
end

return function(options)
  busted.subscribe({ "test", "start" }, start_test)
  busted.subscribe({ "suite", "end" }, function() return end_suite(options.arguments[1] or "?") end)
  return handler
end
