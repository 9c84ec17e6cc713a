"""What a report is made of, and how it is drawn and written; which studies there are is not known.

blocks      sections, figures, tables, columns, pictures
findings    what a reader is told, from the paired test behind it
rows        records of a summary by key, and the intervals in their columns
style       colours, markers, and figures as SVG
scene_picture   one image with its tokens, words or labels
page        all of it in one HTML file, CSV and SVG
files       writing, whole or not at all
"""
