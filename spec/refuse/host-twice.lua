-- expect: host-twice.lua:2: "db.example.org" is given an address twice
return policy "x" { network = { hosts = { ["db.example.org"] = "8.8.8.8", ["DB.example.org."] = "9.9.9.9" } } }
