"""Does a contrastive model name the object or the ground it stands on? (CLIPpy 2022.)"""
