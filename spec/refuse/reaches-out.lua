-- expect: reaches-out.lua:2: `os` is not there in policy files: they describe, and reach nothing outside
return policy "x" { about = os.getenv("HOME") }
