-- expect: huge-number.lua:2: `processes` takes a finite number
return policy "x" { limits = { processes = math.huge } }
