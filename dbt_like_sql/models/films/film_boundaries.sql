select * from {{ boundaries(source('films', 'frames'), source('films', 'samples')) }}
