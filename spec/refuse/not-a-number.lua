-- expect: not-a-number.lua:2: `cpus` takes a finite number
return policy "x" { limits = { cpus = 0 / 0 } }
