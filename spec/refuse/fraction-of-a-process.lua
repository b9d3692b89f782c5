-- expect: fraction-of-a-process.lua:2: `processes` takes a whole number, not the number 2.5
return policy "x" { limits = { processes = 2.5 } }
