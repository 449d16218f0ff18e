//! A row of a table as a struct, with everything that goes through its columns in their order.

/// Declares the row; one row a module. PostgreSQL gets many of them as one array a column, or as one array of values of
/// a composite type, which it takes apart in half of the time where there are many columns, or as a copy.
macro_rules! columns {
    (
        $(#[$doc:meta])*
        $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty => $array:literal),+ $(,)? }
    ) => {
        $crate::store::columns::columns!(@row $(#[$doc])* $row $(<$life>)? { $($column: $type),+ });

        /// Every column with the PostgreSQL type of an array of its values.
        pub(crate) const COLUMNS: &[(&str, &str)] = &[$((stringify!($column), $array)),+];

        /// Binds one array a column.
        pub(crate) fn bind_arrays<'q $(, $life)?>(
            query: sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>,
            rows: &[$row $(<$life>)?],
        ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
            query$(.bind(rows.iter().map(|row| row.$column).collect::<Vec<_>>()))+
        }
    };
    (
        $(#[$doc:meta])*
        $row:ident $(<$life:lifetime>)? as $composite:literal { $($column:ident: $type:ty),+ $(,)? }
    ) => {
        $crate::store::columns::columns!(@row $(#[$doc])* $row $(<$life>)? { $($column: $type),+ });

        pub(crate) const COLUMNS: &[&str] = &[$(stringify!($column)),+];
        /// The composite type, whose attributes are the columns in their order.
        pub(crate) const COMPOSITE: &str = $composite;

        impl $(<$life>)? sqlx::Type<sqlx::Postgres> for $row $(<$life>)? {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::with_name(COMPOSITE)
            }
        }

        impl $(<$life>)? sqlx::postgres::PgHasArrayType for $row $(<$life>)? {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::array_of(COMPOSITE)
            }
        }

        impl $(<$life>)? $crate::store::postgres::Copied for $row $(<$life>)? {
            fn copy_into(&self, tuple: &mut $crate::store::postgres::Tuple<'_>) -> Result<(), sqlx::Error> {
                $(tuple.push(self.$column)?;)+
                Ok(())
            }
        }

        impl<'q $(, $life)?> sqlx::Encode<'q, sqlx::Postgres> for $row $(<$life>)? {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                // What sqlx's own derive for composite types goes through.
                let mut record = sqlx::postgres::types::PgRecordEncoder::new(buffer);
                $(record.encode(self.$column)?;)+
                record.finish();
                Ok(sqlx::encode::IsNull::No)
            }
        }
    };
    (@row $(#[$doc:meta])* $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub(crate) struct $row $(<$life>)? { $(pub(crate) $column: $type),+ }

        /// Binds one value a column.
        pub(crate) fn bind_values $(<$life>)? (
            tuple: &mut sqlx::query_builder::Separated<'_, sqlx::Sqlite, &'static str>,
            row: &$row $(<$life>)?,
        ) {
            $(tuple.push_bind(row.$column);)+
        }
    };
}
pub(super) use columns;
