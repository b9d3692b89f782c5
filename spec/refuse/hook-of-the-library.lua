-- expect: hook-of-the-library.lua:2: `usage` takes a function that is written in this file, not one of the library
return policy "x" { on = { usage = tostring } }
