std = "lua54"
max_line_length = 120

files["spec"] = { std = "+busted" }

-- The eddy command gives its scripts the library as a global.
files["examples"] = { read_globals = { "eddy" } }

-- Descriptions for editors: parameters are named there to be read, not used.
files["lua/eddy/meta"] = { ignore = { "212" } }
