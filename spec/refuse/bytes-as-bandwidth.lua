-- expect: bytes-as-bandwidth.lua:2: `bytes` takes a size such as 4 * GB, not a bandwidth
return policy "x" { network = { allow { "x.org", bytes = 50 * Mbit } } }
