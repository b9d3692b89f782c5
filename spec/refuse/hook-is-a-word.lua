-- expect: hook-is-a-word.lua:2: `usage` takes a function that is written in this file, not the word `kill`: function(…) return kill end
return policy "x" { on = { usage = kill } }
