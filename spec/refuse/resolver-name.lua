-- expect: resolver-name.lua:2: `resolver` takes an address such as "192.0.2.53", not "dns.example.org"
return policy "x" { network = { resolver = "dns.example.org" } }
