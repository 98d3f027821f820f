"""Makes depth maps, label maps and poses of photographs, with models of transformers."""
