-- expect: wildcard-inside.lua:2: "api.*.example.com" has a * that is not the whole first part; write *.name
return policy "x" { network = { allow { "api.*.example.com" } } }
