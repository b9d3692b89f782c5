-- expect: odd-address.lua:2: "0x7f.1" is neither a name nor an address in its usual spelling, such as 192.0.2.7
return policy "x" { network = { allow { "0x7f.1" } } }
