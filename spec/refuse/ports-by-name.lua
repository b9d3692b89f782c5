-- expect: ports-by-name.lua:2: `ports` is a list of ports; `https = …` has no meaning in it
return policy "x" { network = { allow { "example.org", ports = { https = 443 } } } }
